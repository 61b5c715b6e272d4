//! The server, without generated code: a handler a method.
use std::collections::HashMap;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use protobuf::well_known_types::empty::Empty;
use protobuf::well_known_types::wrappers::{BytesValue, Int64Value, StringValue, UInt32Value};
use protobuf::Message;
use ttrpc::{Code, MethodHandler, Request, Response, Status, TtrpcContext};

pub const SERVICE: &str = "kata.edge.interop.Peer";

static ABANDONED: AtomicU32 = AtomicU32::new(0);

type Answer = Result<Vec<u8>, Status>;

struct Method(fn(&TtrpcContext, &[u8]) -> Answer);

impl MethodHandler for Method {
    fn handler(&self, ctx: TtrpcContext, request: Request) -> ttrpc::Result<()> {
        let mut response = Response::new();
        match (self.0)(&ctx, &request.payload) {
            Ok(payload) => response.payload = payload,
            Err(status) => response.set_status(status),
        }
        ttrpc::response_to_channel(ctx.mh.stream_id, response, ctx.res_tx)
    }
}

pub fn serve(socket: &str) -> Result<(), String> {
    let mut methods: HashMap<String, Box<dyn MethodHandler + Send + Sync>> = HashMap::new();
    let all: [(&str, fn(&TtrpcContext, &[u8]) -> Answer); 7] = [
        ("Echo", echo),
        ("Make", make),
        ("Sleep", sleep),
        ("Abandoned", abandoned),
        ("TimeLeft", time_left),
        ("Metadata", metadata),
        ("Fail", fail),
    ];
    for (name, method) in all {
        methods.insert(format!("/{SERVICE}/{name}"), Box::new(Method(method)));
    }
    // Its own bind asks for SO_REUSEPORT, which recent kernels refuse unix sockets.
    let listener = UnixListener::bind(socket).map_err(|error| error.to_string())?;
    let mut server = ttrpc::Server::new()
        .add_listener(listener.into_raw_fd())
        .map_err(|error| error.to_string())?
        .register_service(methods);
    server.start().map_err(|error| error.to_string())?;
    println!("ready");
    loop {
        std::thread::park();
    }
}

/// Bytes that show where they belong.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 >> 3) as u8).collect()
}

fn read<M: Message>(bytes: &[u8]) -> Result<M, Status> {
    M::parse_from_bytes(bytes).map_err(|error| ttrpc::get_status(Code::INVALID_ARGUMENT, error))
}

fn write<M: Message>(message: M) -> Answer {
    message.write_to_bytes().map_err(|error| ttrpc::get_status(Code::INTERNAL, error))
}

fn echo(_: &TtrpcContext, bytes: &[u8]) -> Answer {
    write(read::<BytesValue>(bytes)?)
}

fn make(_: &TtrpcContext, bytes: &[u8]) -> Answer {
    let request: UInt32Value = read(bytes)?;
    write(BytesValue { value: pattern(request.value as usize), ..Default::default() })
}

fn sleep(ctx: &TtrpcContext, bytes: &[u8]) -> Answer {
    let request: UInt32Value = read(bytes)?;
    let wanted = Duration::from_millis(request.value.into());
    let left = match ctx.timeout_nano {
        0 => wanted,
        nanoseconds => Duration::from_nanos(nanoseconds.max(0) as u64),
    };
    std::thread::sleep(wanted.min(left));
    if left < wanted {
        ABANDONED.fetch_add(1, Ordering::SeqCst);
        return Err(ttrpc::get_status(Code::DEADLINE_EXCEEDED, "too late"));
    }
    write(Empty::new())
}

fn abandoned(_: &TtrpcContext, _: &[u8]) -> Answer {
    write(UInt32Value { value: ABANDONED.load(Ordering::SeqCst), ..Default::default() })
}

fn time_left(ctx: &TtrpcContext, _: &[u8]) -> Answer {
    write(Int64Value { value: ctx.timeout_nano / 1_000_000, ..Default::default() })
}

fn metadata(ctx: &TtrpcContext, _: &[u8]) -> Answer {
    let mut lines: Vec<String> = ctx.metadata.iter().map(|(key, values)| format!("{key}={}", values.join(","))).collect();
    lines.sort();
    write(StringValue { value: lines.join("\n"), ..Default::default() })
}

fn fail(_: &TtrpcContext, bytes: &[u8]) -> Answer {
    Err(read::<Status>(bytes)?)
}
