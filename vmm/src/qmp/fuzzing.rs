//! A client that sends arbitrary bytes.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Instant,
};

use arch::cpu::topology::Topology;
use serde_json::{Value, json};

use super::{
    client::{Ask, Client},
    todo::{Facts, Known},
};
use crate::{host::OpenKvm, questions::Refusal, run_state::RunState};

/// The client's reads and writes: in `data`, each byte gives the length of the bytes that follow, or another action.
///
/// # Panics
///
/// A line to the client isn't JSON, or its bytes are never all taken.
pub fn qmp(data: &[u8]) {
    let (mut theirs, ours) = UnixStream::pair().expect("there are descriptors");
    for end in [&theirs, &ours] {
        end.set_nonblocking(true).expect("it can be");
    }
    let topology = Topology::flat(2).expect("it is one");
    let facts = Facts { name: None, uuid: None, kvm: OpenKvm::new(Path::new("/nowhere")), topology };
    let known = Known { state: RunState::Running, progress: Arc::default(), facts };
    let mut client = Client::new(1, ours.into());
    let mut heard = Vec::new();
    let mut rest = data;
    while let Some((&len, parts)) = rest.split_first() {
        let mut asked = Vec::new();
        match len {
            0xfe => client.tell("{\"event\": \"STOP\"}\r\n", Instant::now()),
            0xff => hear(&mut theirs, &mut heard),
            _ => {}
        }
        let (part, others) = parts.split_at(usize::from(len).min(parts.len()));
        rest = if len < 0xfe { others } else { parts };
        // A client that has hung up receives nothing.
        let part = if len < 0xfe { part } else { &[] };
        let _ = theirs.write(part);
        client.serve(&known, &mut |_, ask| asked.push(ask));
        // Each answer may lead to another question.
        while let Some(ask) = asked.pop() {
            let answer = match ask {
                Ask::Quit => continue,
                Ask::Control(_) => Ok(json!({})),
                Ask::Question(_) if len & 1 == 0 => {
                    Ok(json!({"vm": {"exits": 1}, "vcpus": [{"exits": 2}, {}]}))
                }
                Ask::Question(_) | Ask::Kvm(_) => Err(Refusal("fuzzed".to_owned())),
            };
            client.answer(answer, &known, &mut |_, ask| asked.push(ask));
        }
        if client.is_over() {
            break;
        }
    }
    hear(&mut theirs, &mut heard);
}

/// Reads the bytes sent to the client, and checks their lines.
fn hear(theirs: &mut UnixStream, heard: &mut Vec<u8>) {
    if let Err(error) = theirs.read_to_end(heard) {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    while let Some(end) = heard.iter().position(|byte| *byte == b'\n') {
        let line: Vec<_> = heard.drain(..=end).collect();
        assert!(serde_json::from_slice::<Value>(&line).is_ok(), "{}", String::from_utf8_lossy(&line));
    }
}
