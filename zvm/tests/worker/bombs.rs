//! Programs that are small to send and large to compile.

/// A module whose functions have these bodies (locals, then code), all of no parameters; the first one is `_start`.
pub fn module(bodies: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(&mut module, 1, &[1, 0x60, 0, 0]);
    let mut functions = leb(bodies.len());
    functions.extend(std::iter::repeat_n(0, bodies.len()));
    section(&mut module, 3, &functions);
    section(&mut module, 5, &[1, 0, 1]);
    let mut exports = vec![2];
    for (name, kind) in [("_start", 0), ("memory", 2)] {
        exports.push(name.len() as u8);
        exports.extend(name.bytes());
        exports.extend([kind, 0]);
    }
    section(&mut module, 7, &exports);
    let mut code = leb(bodies.len());
    for body in bodies {
        code.extend(leb(body.len()));
        code.extend(body);
    }
    section(&mut module, 10, &code);
    module
}

/// A function of so many locals, each used in turn in blocks that branch, until it has so many bytes: the compiler must
/// know each local's value at each block's end.
pub fn tangle(locals: usize, bytes: usize) -> Vec<u8> {
    let mut body = vec![1];
    body.extend(leb(locals));
    body.push(0x7f);
    let mut at = 0;
    while body.len() < bytes - 1 {
        // loop; local.get at; br_if 0; local.get at; local.set next; end
        let next = (at + 1) % locals;
        body.extend([0x03, 0x40, 0x20]);
        body.extend(leb(at));
        body.extend([0x0d, 0, 0x20]);
        body.extend(leb(at));
        body.push(0x21);
        body.extend(leb(next));
        body.push(0x0b);
        at = (at + 7) % locals;
    }
    body.push(0x0b);
    body
}

/// A function that does nothing.
pub fn nothing() -> Vec<u8> {
    vec![0, 0x0b]
}

/// Adds a section.
pub fn section(module: &mut Vec<u8>, id: u8, content: &[u8]) {
    module.push(id);
    module.extend(leb(content.len()));
    module.extend(content);
}

/// A number as WebAssembly writes it.
pub fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
