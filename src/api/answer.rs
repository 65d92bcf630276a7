//! The envelope: `{"result": …, "status": "ok", "time": seconds}`.

use std::io;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::Instant;

use super::error::ApiError;

tokio::task_local! {
    /// When the request's head was read. Set around every handler, so that answers and errors,
    /// wherever they arise, can say how long they took.
    pub(super) static STARTED: Instant;
}

pub(super) fn started() -> Instant {
    STARTED.try_with(|started| *started).unwrap_or_else(|_| Instant::now())
}

/// An answer, printed where it was made: a long one on the thread of its read. It is
/// completed with the time when it is sent.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    text: Vec<u8>,
}

/// Prints the elements of a list one by one, so that they need not all be in memory.
pub(super) struct AnswerList {
    out: Bounded,
    first: bool,
}

impl Answer {
    /// Prints `result`; refused beyond `bytes_max`.
    pub(super) fn of<T: Serialize>(result: &T, bytes_max: usize) -> Result<Answer, ApiError> {
        let mut out = Bounded::new(bytes_max);
        out.print(result)?;
        Ok(out.answer())
    }

    /// For results that are short by nature.
    pub(super) fn short<T: Serialize>(result: &T) -> Result<Answer, ApiError> {
        Answer::of(result, usize::MAX)
    }

    pub(super) fn with_status(self, status: StatusCode) -> Answer {
        Answer { status, ..self }
    }
}

impl AnswerList {
    pub(super) fn new(bytes_max: usize) -> Self {
        let mut out = Bounded::new(bytes_max);
        out.text.push(b'[');
        AnswerList { out, first: true }
    }

    pub(super) fn push<T: Serialize>(&mut self, element: &T) -> Result<(), ApiError> {
        if !std::mem::take(&mut self.first) {
            self.out.text.push(b',');
        }
        self.out.print(element)
    }

    pub(super) fn end(mut self) -> Answer {
        self.out.text.push(b']');
        self.out.answer()
    }
}

impl IntoResponse for Answer {
    fn into_response(mut self) -> Response {
        let seconds = started().elapsed().as_secs_f64();
        self.text.extend_from_slice(format!(r#","status":"ok","time":{seconds}}}"#).as_bytes());
        json(self.status, self.text)
    }
}

pub(super) fn json(status: StatusCode, text: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

const HEAD: &[u8] = br#"{"result":"#;

/// A buffer that takes so many bytes and no more.
struct Bounded {
    text: Vec<u8>,
    max: usize,
}

impl Bounded {
    fn new(max: usize) -> Self {
        Bounded { text: HEAD.to_vec(), max }
    }

    fn print<T: Serialize>(&mut self, value: &T) -> Result<(), ApiError> {
        let max = self.max;
        serde_json::to_writer(self, value).map_err(|error| match error.is_io() {
            true => ApiError::AnswerTooLarge { max },
            false => ApiError::Broken(format!("the answer cannot be printed: {error}")),
        })
    }

    fn answer(self) -> Answer {
        Answer { status: StatusCode::OK, text: self.text }
    }
}

impl io::Write for &mut Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len().saturating_add(bytes.len()) > self.max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
