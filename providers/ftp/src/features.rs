//! What a server says that it can do (RFC 2389).

/// What a server says that it can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Facts of files, and listings that every program can read.
    pub mlst: bool,
    /// Transfers from any place on.
    pub rest: bool,
    /// Passive transfers over IPv6 too.
    pub epsv: bool,
    /// Times that are set (draft-somers-ftp-mfxx).
    pub mfmt: bool,
}

impl Features {
    /// Reads the answer to FEAT, a feature in each line. Lines that are none are passed over, and a refusal has no others.
    pub fn of_answer(answer: &[u8]) -> Features {
        let has = |feature: &str| {
            let first = |line: &[u8]| {
                line.split(u8::is_ascii_whitespace)
                    .next()
                    .is_some_and(|word| word.eq_ignore_ascii_case(feature.as_bytes()))
            };
            answer.split(|byte| *byte == b'\n').any(|line| first(line.trim_ascii()))
        };
        Features { mlst: has("MLST"), rest: has("REST"), epsv: has("EPSV"), mfmt: has("MFMT") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One library took an answer with an empty line for none of FTP.
    #[test]
    fn features_are_read_out_of_whatever_is_around_them() {
        let all = Features { mlst: true, rest: true, epsv: true, mfmt: true };
        for answer in [
            "211-Features:\r\n EPSV\r\n MFMT\r\n MLST type*;size*;\r\n REST STREAM\r\n211 End\r\n",
            "211-Extensions supported:\n UTF8\n rest stream\n EPSV\n mfmt\n mlst\n\r\n211 End\r\n",
            "211-x\r\nREST STREAM\r\nMFMT\r\n\tMLST\r\n  EPSV\r\n?\r\n211 x\r\n",
        ] {
            assert_eq!(Features::of_answer(answer.as_bytes()), all, "{answer}");
        }
        for answer in
            ["211 no features\r\n", "500 REST? FEAT? MLST?\r\n", "", "211-\r\n RESTS\r\n211 EPSV\r\n"]
        {
            assert_eq!(Features::of_answer(answer.as_bytes()), Features::default(), "{answer}");
        }
    }
}
