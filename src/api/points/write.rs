//! Every change of points: `PUT …/points`, `POST …/points/delete`, and those of vectors and
//! payload below `…/points/vectors` and `…/points/payload`. One body is one operation; the
//! bodies are those of messages. `POST …/points/batch` takes several.

use axum::extract::State;

use super::super::Context;
use super::super::answer::{Answer, AnswerList};
use super::super::body::{Body, Json, Name, Params};
use super::super::error::ApiError;
use crate::operation::{
    ClearPayloadBody, DeleteBody, DeletePayloadBody, DeleteVectorsBody, Operation, OperationsBody,
    OverwritePayloadBody, Refusal, SetPayloadBody, UpdateVectorsBody, UpsertBody,
};

impl Body for UpsertBody {}
impl Body for DeleteBody {}
impl Body for UpdateVectorsBody {}
impl Body for DeleteVectorsBody {}
impl Body for SetPayloadBody {}
impl Body for OverwritePayloadBody {}
impl Body for DeletePayloadBody {}
impl Body for ClearPayloadBody {}
impl Body for OperationsBody {}

pub(in super::super) async fn write<B>(
    State(shared): Context,
    Name(name): Name,
    params: Params,
    Json { body, .. }: Json<B>,
) -> Result<Answer, ApiError>
where
    B: Body,
    Operation: TryFrom<B, Error = Refusal>,
{
    let refused = |refusal| ApiError::refused(&name, refusal);
    let operation = Operation::try_from(body).map_err(refused)?;
    let deadline = shared.deadline(params.timeout_seconds());
    let update = shared.write(&name, vec![operation], params.wait, deadline).await?;
    Answer::short(&update)
}

/// All of them are one message: one record in the log, applied as a whole or not at all, so
/// each is answered with the same seq.
pub(in super::super) async fn write_batch(
    State(shared): Context,
    Name(name): Name,
    params: Params,
    Json { body, .. }: Json<OperationsBody>,
) -> Result<Answer, ApiError> {
    let refused = |refusal| ApiError::refused(&name, refusal);
    let operations = Vec::<Operation>::try_from(body).map_err(refused)?;
    let mut answers = AnswerList::new(usize::MAX);
    if operations.is_empty() {
        shared.collection(&name)?;
        return Ok(answers.end());
    }
    let count = operations.len();
    let deadline = shared.deadline(params.timeout_seconds());
    let update = shared.write(&name, operations, params.wait, deadline).await?;
    for _ in 0..count {
        answers.push(&update)?;
    }
    Ok(answers.end())
}
