//! An answer of HTTP/1.1.
//!
//! In: all bytes that came until the other side closed. Out: the body, whole, or why there is none.

use thiserror::Error;

#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum AnswerError {
    #[error("what it answers is not HTTP")]
    NotHttp,
    #[error("it answers with status {0}")]
    Status(u16),
    #[error("its answer breaks off")]
    BreaksOff,
}

/// The body of an answer of status 200.
pub(super) fn body(bytes: &[u8]) -> Result<Vec<u8>, AnswerError> {
    use AnswerError::{BreaksOff, NotHttp, Status};
    if !bytes.starts_with(b"HTTP/1.") {
        return Err(if bytes.is_empty() { BreaksOff } else { NotHttp });
    }
    let end = find(bytes, b"\r\n\r\n").ok_or(BreaksOff)?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| NotHttp)?;
    let rest = &bytes[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    match status {
        Some(200) => {}
        Some(other) => return Err(Status(other)),
        None => return Err(NotHttp),
    }
    let mut length = None;
    let mut chunked = false;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<usize>().map_err(|_| NotHttp)?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        }
    }
    match length {
        _ if chunked => unchunked(rest),
        Some(length) => Ok(rest.get(..length).ok_or(BreaksOff)?.to_vec()),
        None => Ok(rest.to_vec()),
    }
}

fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>, AnswerError> {
    use AnswerError::{BreaksOff, NotHttp};
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n").ok_or(BreaksOff)?;
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| NotHttp)?;
        // What follows the semicolon is an extension.
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| NotHttp)?;
        if size == 0 {
            return Ok(body);
        }
        let chunk = rest[end + 2..].get(..size).ok_or(BreaksOff)?;
        body.extend_from_slice(chunk);
        rest = rest[end + 2 + size..].strip_prefix(b"\r\n").ok_or(BreaksOff)?;
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(answer: &str) -> Result<String, AnswerError> {
        body(answer.as_bytes()).map(|body| String::from_utf8(body).expect("it was text"))
    }

    #[test]
    fn a_body_ends_where_its_length_says() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nServer: Docker\r\n\r\n[] and more";
        assert_eq!(text(answer).as_deref(), Ok("[]"));
        assert_eq!(text("HTTP/1.0 200 OK\r\nX: y\r\n\r\n[1]").as_deref(), Ok("[1]"));
    }

    #[test]
    fn chunks_are_put_together() {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let whole = format!("{head}5\r\n[\"a\",\r\nA;x=y\r\n\"b\",\"cde\"]\r\n0\r\n\r\n");
        assert_eq!(text(&whole).as_deref(), Ok(r#"["a","b","cde"]"#));
        for end in head.len()..whole.len() - 4 {
            assert!(text(&whole[..end]).is_err(), "{:?}", &whole[..end]);
        }
        assert_eq!(text(&format!("{head}zz\r\n")), Err(AnswerError::NotHttp));
        assert_eq!(text(&format!("{head}ffffffffffffffff\r\nx")), Err(AnswerError::BreaksOff));
    }

    #[test]
    fn what_is_no_answer_says_so() {
        assert_eq!(text(""), Err(AnswerError::BreaksOff));
        assert_eq!(text("SSH-2.0-OpenSSH\r\n\r\n"), Err(AnswerError::NotHttp));
        assert_eq!(text("HTTP/1.1\r\n\r\n"), Err(AnswerError::NotHttp));
        assert_eq!(text("HTTP/1.1 200 OK\r\nContent-"), Err(AnswerError::BreaksOff));
        assert_eq!(text("HTTP/1.1 500 Oops\r\n\r\n"), Err(AnswerError::Status(500)));
        let short = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[";
        assert_eq!(text(short), Err(AnswerError::BreaksOff));
        let absurd = "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n[]";
        assert_eq!(text(absurd), Err(AnswerError::NotHttp));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = body(&bytes);
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = body(&[&head[..], &bytes].concat());
        }
    }
}
