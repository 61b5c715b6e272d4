//! What the client asks of a server.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protobuf::well_known_types::empty::Empty;
use protobuf::well_known_types::wrappers::{BytesValue, Int64Value, StringValue, UInt32Value};
use protobuf::{Enum, Message};
use ttrpc::{Client, Code, Error, Request, Status};

use crate::service::{pattern, SERVICE};

/// Largest data of a frame, and what the envelopes of Echo take of it at most, bytes.
const FRAME_MAX: usize = 4 << 20;
const ENVELOPE: usize = 64;
const PATIENCE_MS: i64 = 20_000;

type Check = fn(&Client) -> Result<(), String>;

pub const ALL: [(&str, Check); 7] = [
    ("echo of many sizes", echo_sizes),
    ("calls at the same time", at_once),
    ("an answer of 4 MiB", oversize_answer),
    ("a deadline", deadline),
    ("metadata", metadata),
    ("a status with code, message and details", failure),
    ("unknown service and method", unknown),
];

pub fn run(name: &str, socket: &str) -> Result<(), String> {
    let (_, check) = ALL.iter().find(|(known, _)| *known == name).ok_or(format!("there is no check {name}"))?;
    let client = Client::connect(&format!("unix://{socket}")).map_err(|error| error.to_string())?;
    check(&client)
}

fn request<M: Message>(method: &str, message: &M) -> Request {
    Request {
        service: SERVICE.to_string(),
        method: method.to_string(),
        payload: message.write_to_bytes().expect("a message of ours"),
        timeout_nano: PATIENCE_MS * 1_000_000,
        ..Default::default()
    }
}

fn call<M: Message>(client: &Client, request: Request) -> Result<M, Error> {
    let response = client.request(request)?;
    M::parse_from_bytes(&response.payload).map_err(|error| Error::Others(error.to_string()))
}

fn status_of<M: Message>(result: Result<M, Error>) -> Result<Status, String> {
    match result {
        Err(Error::RpcStatus(status)) => Ok(status),
        Err(error) => Err(format!("{error} where a status was to come")),
        Ok(_) => Err("success where a status was to come".to_string()),
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) -> Result<(), String> {
    if got == wanted {
        return Ok(());
    }
    Err(format!("{what}: {got:?}, wanted {wanted:?}"))
}

fn echo(client: &Client, value: Vec<u8>) -> Result<(), String> {
    let sent = BytesValue { value, ..Default::default() };
    let got: BytesValue = call(client, request("Echo", &sent)).map_err(|error| error.to_string())?;
    if got.value == sent.value {
        return Ok(());
    }
    Err(format!("{} bytes came back as {} others", sent.value.len(), got.value.len()))
}

fn echo_sizes(client: &Client) -> Result<(), String> {
    let sizes = [0, 1, 100, 127, 128, 4095, 16383, 16384, 32 << 10, 300_000, 1 << 20, FRAME_MAX - ENVELOPE];
    sizes.iter().try_for_each(|size| echo(client, pattern(*size)))
}

fn at_once(client: &Client) -> Result<(), String> {
    let client = Arc::new(client.clone());
    let workers: Vec<_> = (0..32)
        .map(|worker| {
            let client = client.clone();
            std::thread::spawn(move || (0..50).try_for_each(|round| echo(&client, pattern(worker * round))))
        })
        .collect();
    workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked".to_string())?)
}

fn oversize_answer(client: &Client) -> Result<(), String> {
    let size = UInt32Value { value: FRAME_MAX as u32, ..Default::default() };
    let status = status_of(call::<BytesValue>(client, request("Make", &size)))?;
    expect("code", status.code(), Code::RESOURCE_EXHAUSTED)?;
    echo(client, pattern(100))
}

fn deadline(client: &Client) -> Result<(), String> {
    let left: Int64Value = call(client, request("TimeLeft", &Empty::new())).map_err(|error| error.to_string())?;
    expect("time is left", left.value > 0 && left.value <= PATIENCE_MS, true)?;
    let mut late = request("Sleep", &UInt32Value { value: PATIENCE_MS as u32, ..Default::default() });
    late.timeout_nano = 50_000_000;
    if call::<Empty>(client, late).is_ok() {
        return Err("a call succeeded after its deadline".to_string());
    }
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(PATIENCE_MS as u64) {
        let count: UInt32Value = call(client, request("Abandoned", &Empty::new())).map_err(|error| error.to_string())?;
        if count.value > 0 {
            return Ok(());
        }
    }
    Err("the server went on after the deadline".to_string())
}

fn metadata(client: &Client) -> Result<(), String> {
    let pairs = [("one", "1"), ("umlaut", "größe"), ("empty", "")];
    let sent: HashMap<String, Vec<String>> =
        pairs.iter().map(|(key, value)| (key.to_string(), vec![value.to_string()])).collect();
    let mut asked = request("Metadata", &Empty::new());
    asked.metadata = ttrpc::context::to_pb(sent);
    let got: StringValue = call(client, asked).map_err(|error| error.to_string())?;
    expect("metadata", got.value.as_str(), "empty=\none=1\numlaut=größe")
}

fn failure(client: &Client) -> Result<(), String> {
    for code in 1..=Code::UNAUTHENTICATED.value() {
        let mut wanted = Status::new();
        wanted.code = Code::from_i32(code).expect("a code").into();
        wanted.message = format!("größer {code}");
        let mut detail = ttrpc::proto::Any::new();
        detail.type_url = "type.googleapis.com/google.protobuf.StringValue".to_string();
        detail.value = vec![0x0a, 1, 0x31];
        wanted.details.push(detail);
        expect("status", status_of(call::<Empty>(client, request("Fail", &wanted)))?, wanted)?;
    }
    Ok(())
}

fn unknown(client: &Client) -> Result<(), String> {
    let method = status_of(call::<Empty>(client, request("Nothing", &Empty::new())))?;
    expect("code", method.code(), Code::UNIMPLEMENTED)?;
    let mut other = request("Echo", &Empty::new());
    other.service = "no.such.Service".to_string();
    expect("code", status_of(call::<Empty>(client, other))?.code(), Code::UNIMPLEMENTED)
}
