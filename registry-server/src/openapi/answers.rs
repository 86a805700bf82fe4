//! What every route may answer beside what its handler says, so that no client is surprised: refusals
//! of what could not be read, of tokens, of haste, and failures of the server.

use hub_schemas::{api::API_PREFIX, problem::PROBLEM_MEDIA_TYPE};
use utoipa::openapi::{
    Content, OpenApi, Ref, RefOr, Response,
    path::{HttpMethod, Operation, PathItem},
};

const PROBLEM: &str = "#/components/schemas/Problem";
const JSON: &str = "application/json";

/// Completes every operation: a name of its own, the media type of problems, and the statuses that do
/// not depend on the handler.
pub(super) fn complete(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(name(&method, path));
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response {
                    as_problem(response);
                }
            }
            for status in common(path, &method, operation) {
                let added = operation.responses.responses.entry(status.to_string());
                added.or_insert_with(|| RefOr::T(problem()));
            }
            describe(operation);
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let all = [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Put, &mut item.put),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Patch, &mut item.patch),
        (HttpMethod::Delete, &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// `put_adapters_by_name_versions_by_version`: the method and the words of the path. Generators of clients
/// make functions of it.
fn name(method: &HttpMethod, path: &str) -> String {
    let method = match method {
        HttpMethod::Put => "put",
        HttpMethod::Post => "post",
        HttpMethod::Patch => "patch",
        HttpMethod::Delete => "delete",
        _ => "get",
    };
    let path = path.strip_prefix(API_PREFIX).unwrap_or(path);
    let mut words = vec![method.to_owned()];
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        match segment.strip_prefix('{') {
            Some(parameter) => words.push(format!("by_{}", parameter.trim_end_matches('}'))),
            None => words.push(segment.replace('-', "_")),
        }
    }
    words.join("_").replace("by_namespace_by_name", "by_name")
}

fn common(path: &str, method: &HttpMethod, operation: &Operation) -> Vec<u16> {
    let mut statuses = vec![500, 503];
    if !path.starts_with("/api/") {
        return statuses;
    }
    statuses.push(429);
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    if !parameters.is_empty() || operation.request_body.is_some() {
        statuses.extend([400, 422]);
    }
    if operation.security.iter().flatten().any(|one| one != &utoipa::openapi::SecurityRequirement::default())
    {
        statuses.push(401);
    }
    // Of an adapter that was moved, is in quarantine, or was deleted.
    if path.contains("{namespace}/{name}") {
        statuses.extend([307, 403, 410]);
    }
    if !matches!(method, HttpMethod::Get) {
        // A registry that takes no changes, or has no room for them; a value that can't be taken.
        statuses.extend([403, 507]);
    }
    if !parameters.is_empty() && !matches!(method, HttpMethod::Get) {
        statuses.push(409);
    }
    if operation.request_body.is_some() {
        statuses.push(413);
    }
    statuses
}

fn problem() -> Response {
    let mut response = Response::default();
    let schema = Some(Ref::new(PROBLEM));
    response.content.insert(PROBLEM_MEDIA_TYPE.to_owned(), RefOr::T(Content::new(schema)));
    response
}

/// A handler says `body = Problem`, which is JSON of a media type of its own.
fn as_problem(response: &mut Response) {
    let is_problem = |content: &RefOr<Content>| {
        let RefOr::T(Content { schema: Some(RefOr::Ref(found)), .. }) = content else { return false };
        found.ref_location == PROBLEM
    };
    if response.content.get(JSON).is_some_and(is_problem) {
        response.content = problem().content;
    }
}

/// OpenAPI demands a description of every answer.
fn describe(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            usual(status).clone_into(&mut response.description);
        }
    }
}

fn usual(status: &str) -> &'static str {
    match status {
        "200" => "Done",
        "201" => "Made",
        "202" => "Taken",
        "204" => "Done; there is nothing to say",
        "304" => "Not changed",
        "307" => "The adapter has another name, which `location` has",
        "400" => "The path, the query, a header or the body is malformed",
        "401" => "There is no token, or it is unknown, revoked or expired",
        "403" => {
            "The token does not allow this, the adapter is in quarantine, or the registry takes no changes"
        }
        "404" => "Nothing there that the caller may see",
        "409" => "What is there does not allow this",
        "410" => "It was deleted for good",
        "413" => "More bytes than are taken",
        "416" => "The range lies outside the file",
        "422" => "A value is well-formed, but can't be taken",
        "429" => "Too many requests; `retry-after` says when to ask again",
        "503" => "The registry is starting, stopping or overloaded",
        "507" => "The registry has no room left",
        _ => "The registry failed; the request may be repeated",
    }
}
