//! What secrets rule out: unknown peers, replay, reflection, a downgrade.

use crate::handshake::{accept, dialler, hello, meet, ours, secret};
use crate::{EACCES, EINVAL, EPROTO, assert_code, raw};
use netpipe::hello::FEATURE_CRC;
use netpipe::{Handshake, Hello, Local, Name, Progress, Secret, Token};

#[test]
fn different_secrets_are_refused_on_both_sides() {
    let mut dialler = dialler(secret("the dialler's own secret"));
    let (dialled, accepted) =
        meet(&mut dialler, &mut Handshake::acceptor(None), Local::default(), ours(), 4096);
    assert_code(accepted, EACCES, "different secrets");
    assert_code(dialled, EACCES, "refused: the two sides have different secrets");
}

#[test]
fn a_secret_against_none_is_refused_on_both_sides() {
    let mut with = dialler(ours());
    let (dialled, accepted) = meet(&mut with, &mut Handshake::acceptor(None), Local::default(), None, 4096);
    assert_code(accepted, EACCES, "the dialler has a secret and the acceptor has none");
    assert_code(dialled, EACCES, "the dialler has a secret and the acceptor has none");
    let mut without = dialler(None);
    let (dialled, accepted) =
        meet(&mut without, &mut Handshake::acceptor(None), Local::default(), ours(), 4096);
    assert_code(accepted, EACCES, "the acceptor has a secret and the dialler has none");
    assert_code(dialled, EACCES, "the acceptor has a secret and the dialler has none");
}

#[test]
fn an_acceptor_without_the_secret_fools_no_dialler() {
    // The false acceptor says that it has none, or lies and sends any proof.
    let mut dialler_1 = dialler(ours());
    let mut lax = Handshake::acceptor(None);
    let mut bare = Hello::parse(&dialler_1.output()[12..]).unwrap();
    bare.proof = false;
    accept(&mut lax, &bare.to_bytes(), None).unwrap();
    assert_code(
        dialler_1.input(&mut &lax.output()[..]),
        EACCES,
        "the dialler has a secret and the acceptor has none",
    );
    let mut dialler_2 = dialler(ours());
    let mut liar = Handshake::acceptor(None);
    accept(&mut liar, &dialler_2.output(), secret("not the same secret at all")).unwrap();
    assert_eq!(dialler_2.input(&mut &liar.output()[..]), Ok(Progress::More));
    assert_code(dialler_2.input(&mut &raw(2, &[0; 32])[..]), EACCES, "different secrets");
}

#[test]
fn an_acceptor_proves_nothing_to_a_stranger() {
    let mut acceptor = Handshake::acceptor(None);
    accept(&mut acceptor, &dialler(ours()).output(), ours()).unwrap();
    let hello = acceptor.output();
    assert_eq!(hello.len(), 12 + u32::from_le_bytes(hello[4..8].try_into().unwrap()) as usize);
    assert_code(acceptor.input(&mut &raw(2, &[0; 32])[..]), EACCES, "different secrets");
    assert_eq!(acceptor.output()[0], 3, "a REFUSAL, no PROOF");
}

#[test]
fn a_replayed_hello_and_proof_are_refused() {
    let (mut dialler, mut acceptor) = (dialler(ours()), Handshake::acceptor(None));
    let first = dialler.output();
    accept(&mut acceptor, &first, ours()).unwrap();
    dialler.input(&mut &acceptor.output()[..]).unwrap();
    let proof = dialler.output();
    assert!(matches!(acceptor.input(&mut &proof[..]), Ok(Progress::Done(_))));
    let mut again = Handshake::acceptor(None);
    accept(&mut again, &first, ours()).unwrap();
    assert_code(again.input(&mut &proof[..]), EACCES, "different secrets");
}

#[test]
fn a_replayed_answer_is_refused() {
    let (mut recorded, mut acceptor) = (dialler(ours()), Handshake::acceptor(None));
    accept(&mut acceptor, &recorded.output(), ours()).unwrap();
    let answer = acceptor.output();
    recorded.input(&mut &answer[..]).unwrap();
    acceptor.input(&mut &recorded.output()[..]).unwrap();
    let proof = acceptor.output();
    let mut fresh = dialler(ours());
    assert_eq!(fresh.input(&mut &answer[..]), Ok(Progress::More));
    assert_code(fresh.input(&mut &proof[..]), EACCES, "different secrets");
}

#[test]
fn a_reflected_hello_is_refused() {
    let mut writer = dialler(ours());
    let own = writer.output();
    assert_code(writer.input(&mut &own[..]), EPROTO, "same role");
    let mut instance = Handshake::dialler(Hello::broker(), ours(), None).unwrap();
    let own = instance.output();
    assert_code(instance.input(&mut &own[..]), EPROTO, "same nonce");
}

#[test]
fn a_reflected_proof_is_refused() {
    let (mut dialler, mut acceptor) = (dialler(ours()), Handshake::acceptor(None));
    accept(&mut acceptor, &dialler.output(), ours()).unwrap();
    dialler.input(&mut &acceptor.output()[..]).unwrap();
    let proof = dialler.output();
    assert_code(dialler.input(&mut &proof[..]), EACCES, "different secrets");
}

/// Alters the dialler's HELLO on its way; whoever is fooled would end the handshake well.
fn tampered(alter: impl Fn(&mut Hello)) {
    let mut mine = hello();
    mine.features = FEATURE_CRC;
    let (mut dialler, mut acceptor) =
        (Handshake::dialler(mine, ours(), None).unwrap(), Handshake::acceptor(None));
    let mut altered = Hello::parse(&dialler.output()[12..]).unwrap();
    alter(&mut altered);
    accept(&mut acceptor, &altered.to_bytes(), ours()).unwrap();
    let mut answer = Hello::parse(&acceptor.output()[12..]).unwrap();
    // The way back is mended, so that only the proof can show it.
    (answer.name, answer.token) = (Some(Name::new("p").unwrap()), None);
    assert_eq!(dialler.input(&mut &answer.to_bytes()[..]), Ok(Progress::More));
    assert_code(acceptor.input(&mut &dialler.output()[..]), EACCES, "different secrets");
}

#[test]
fn tampering_with_versions_features_name_and_token_shows() {
    tampered(|hello| hello.versions = 1..=9);
    tampered(|hello| hello.features = 0);
    tampered(|hello| hello.name = Some(Name::new("q").unwrap()));
    tampered(|hello| hello.token = Some(Token([1; 16])));
    tampered(|hello| hello.agent = Some("another".into()));
    tampered(|hello| hello.nonce[0] ^= 1);
}

#[test]
fn an_ignored_header_bit_is_proven_too() {
    let (mut dialler, mut acceptor) = (dialler(ours()), Handshake::acceptor(None));
    let mut altered = dialler.output();
    altered[2] = 1;
    accept(&mut acceptor, &altered, ours()).unwrap();
    dialler.input(&mut &acceptor.output()[..]).unwrap();
    assert_code(acceptor.input(&mut &dialler.output()[..]), EACCES, "different secrets");
}

#[test]
fn another_tls_session_is_refused() {
    let mut dialler = Handshake::dialler(hello(), ours(), Some([1; 32])).unwrap();
    let mut same = Handshake::acceptor(Some([1; 32]));
    let (dialled, accepted) = meet(&mut dialler, &mut same, Local::default(), ours(), 4096);
    assert!(dialled.is_ok() && accepted.is_ok());
    for other in [None, Some([2; 32])] {
        let mut dialler = Handshake::dialler(hello(), ours(), Some([1; 32])).unwrap();
        let (_, accepted) =
            meet(&mut dialler, &mut Handshake::acceptor(other), Local::default(), ours(), 4096);
        assert_code(accepted, EACCES, "different secrets");
    }
}

#[test]
fn secrets_have_a_least_length_and_no_last_line_end() {
    for bytes in [
        &b""[..],
        b"fifteen bytes!!",
        b"fifteen bytes!!\n",
        b"\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
        &[1; 4097],
    ] {
        assert_code(Secret::new(bytes), EINVAL, "16 to 4096");
    }
    assert_eq!(format!("{:?}", ours().unwrap()), "Secret(...)");
    let mut dialler = dialler(secret("sixteen bytes at least\r\n"));
    let (dialled, accepted) =
        meet(&mut dialler, &mut Handshake::acceptor(None), Local::default(), ours(), 4096);
    assert!(dialled.is_ok() && accepted.is_ok());
}

#[test]
fn proofs_are_the_documents() {
    // The formula of section 3, written out once more.
    let (mut dialler, mut acceptor) = (dialler(ours()), Handshake::acceptor(Some([3; 32])));
    let first = dialler.output();
    accept(&mut acceptor, &first, ours()).unwrap();
    let second = acceptor.output();
    let proof = |label: &[u8]| {
        use hmac::Mac;
        use sha2::Digest;
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"sixteen bytes at least").unwrap();
        for part in [label, &sha2::Sha256::digest(&first), &sha2::Sha256::digest(&second), &[3; 32]] {
            mac.update(part);
        }
        raw(2, &mac.finalize().into_bytes())
    };
    assert!(matches!(acceptor.input(&mut &proof(b"netpipe 1 dialler")[..]), Ok(Progress::Done(_))));
    assert_eq!(acceptor.output()[12..], proof(b"netpipe 1 acceptor")[12..]);
}
