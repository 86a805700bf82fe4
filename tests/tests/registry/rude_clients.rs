//! Clients that send too much, too slowly, or nothing: they are told so or dropped, and everybody else is served.

use std::{net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use hub_schemas::digest::Digest;
use hub_tests::hub::{SampleAdapter, TestHub};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{interval, timeout},
};

/// Of each rude kind.
const RUDE: usize = 60;
/// The server drops whoever has not asked for anything within half of this.
const DROPPED_WITHIN: Duration = Duration::from_mins(1);
const DRIP: Duration = Duration::from_secs(1);

async fn connect(hub: &TestHub) -> TcpStream {
    let address: SocketAddr = hub.url().trim_start_matches("http://").parse().expect("an address");
    TcpStream::connect(address).await.expect("connects")
}

/// The status of whatever comes back; nothing where the connection just ends.
async fn answer_to(hub: &TestHub, request: &str) -> Option<u16> {
    let mut connection = connect(hub).await;
    // The server may hang up before it has read everything.
    drop(connection.write_all(request.as_bytes()).await);
    let mut answer = Vec::new();
    let read = timeout(DROPPED_WITHIN, connection.read_to_end(&mut answer)).await;
    drop(read.expect("the server ends the connection"));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_and_addresses_beyond_any_use_are_refused_and_the_connection_ends() {
    let hub = TestHub::start().await;
    let request = |line: &str, headers: &str| format!("{line} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
    let long = "a".repeat(1 << 20);
    let refused = [
        ("one header of a mebibyte", request("GET /api/v1/search", &format!("x-long: {long}\r\n"))),
        ("ten thousand headers", request("GET /api/v1/search", &"x-more: y\r\n".repeat(10_000))),
        ("an address of a mebibyte", request(&format!("GET /{long}"), "")),
        (
            "a token of a mebibyte",
            request("GET /api/v1/whoami", &format!("authorization: Bearer {long}\r\n")),
        ),
        ("no HTTP", "\u{16}\u{3}\u{1} hello\r\n\r\n".to_owned()),
        ("two lengths", request("POST /api/v1/login", "content-length: 5\r\ncontent-length: 6\r\n")),
    ];
    for (what, request) in refused {
        let status = answer_to(&hub, &request).await;
        // Whoever is still sending may find the connection reset before the answer.
        assert!(matches!(status, None | Some(400 | 414 | 431)), "{what}: {status:?}");
    }
    assert_eq!(hub.anonymous().get("search").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_say_nothing_or_drip_or_never_read_are_dropped_and_keep_nobody_waiting() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let card = vec![b'x'; 1 << 20];
    ada.publish(&SampleAdapter::lora("ada/x", "1.0.0").with_file("README.md", &card)).await;
    let blob = format!("adapters/ada/x/blobs/{}", Digest::of(&card));

    let silent = join_all((0..RUDE).map(|_| connect(&hub))).await;
    let dripping = join_all((0..RUDE).map(|_| connect(&hub))).await;
    let mut deaf = join_all((0..RUDE).map(|_| connect(&hub))).await;
    for connection in &mut deaf {
        let request = format!("GET /api/v1/{blob} HTTP/1.1\r\nhost: x\r\n\r\n");
        connection.write_all(request.as_bytes()).await.expect("asks");
    }
    let dropped = silent.into_iter().map(|connection| until_dropped(connection, false));
    let dropped = dropped.chain(dripping.into_iter().map(|connection| until_dropped(connection, true)));
    let dropped = tokio::spawn(join_all(dropped.collect::<Vec<_>>()));

    // All that time everybody else is served.
    let mut served = 0;
    while !dropped.is_finished() {
        let found = timeout(DROPPED_WITHIN, ada.get(&blob)).await.expect("an answer");
        assert!(found.body == card);
        served += 1;
        tokio::time::sleep(DRIP).await;
    }
    assert!(served > 0 && dropped.await.expect("no panic").into_iter().all(|dropped| dropped));
    drop(deaf);
}

/// Whether the server ends the connection of somebody who sends a byte now and then, or none.
async fn until_dropped(mut connection: TcpStream, drips: bool) -> bool {
    let request = "GET /api/v1/search HTTP/1.1\r\nx-slow: ".bytes().chain(std::iter::repeat(b'a'));
    let (mut reader, mut writer) = connection.split();
    let dripping = async {
        let mut ticks = interval(DRIP);
        for byte in request {
            ticks.tick().await;
            if !drips || writer.write_all(&[byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = dripping => false,
        ended = timeout(DROPPED_WITHIN, reader.read_to_end(&mut answer)) => ended.is_ok(),
    }
}
