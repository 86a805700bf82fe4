//! How often somebody may ask, and how much a namespace may hold.

use hub_schemas::{api::NamespaceInfo, digest::Digest, problem::ProblemCode};
use hub_server::{
    admin,
    domain::{quota::Quota, rate::Rate},
};
use hub_tests::hub::{SampleAdapter, TestHub};

async fn with_rates(user: u32, address: u32) -> TestHub {
    TestHub::start_with(|config| {
        config.rates.user = Rate::per_minute(user);
        config.rates.address = Rate::per_minute(address);
        config.rates.trust_forwarded_for = true;
    })
    .await
}

#[tokio::test]
async fn a_user_who_asks_too_fast_is_told_how_long_to_wait_and_others_are_not() {
    let hub = with_rates(5, 0).await;
    let (ada, grace) = (hub.user("ada").await, hub.user("grace").await);
    // Another token is the same user.
    let again = hub.visitor(&hub.token("ada", &[hub_schemas::token::Scope::Read], None).await);
    let first = ada.get("whoami").await;
    assert_eq!(first.header("ratelimit-policy"), "\"user\";q=5;w=60");
    assert_eq!(first.header("ratelimit"), "\"user\";r=4;t=12");
    for _ in 0..4 {
        assert_eq!(again.get("search").await.status, 200);
    }
    let refused = ada.get("whoami").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (429, ProblemCode::TooManyRequests));
    assert_eq!(refused.problem().detail, "`ada` sent more than 5 requests in a minute");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=12).contains(&wait), "{wait}");
    assert!(refused.header("ratelimit").starts_with("\"user\";r=0;t="), "{}", refused.header("ratelimit"));
    assert_eq!(grace.get("whoami").await.status, 200);
    assert_eq!(hub.anonymous().get("search").await.status, 200);
}

#[tokio::test]
async fn an_address_is_limited_whoever_asks_from_it() {
    let hub = with_rates(0, 3).await;
    let anyone = hub.anonymous();
    let from = |address: &'static str| {
        let anyone = anyone.clone();
        async move { anyone.get_with("search", "x-forwarded-for", address).await }
    };
    for _ in 0..3 {
        assert_eq!(from("203.0.113.9, 192.0.2.1").await.status, 200);
    }
    // Whatever the client claims to have come through before the proxy saw it.
    let refused = from("198.51.100.7, 192.0.2.1").await;
    assert_eq!(
        (refused.code(), refused.header("retry-after").is_empty()),
        (ProblemCode::TooManyRequests, false)
    );
    assert_eq!(from("192.0.2.2").await.status, 200);
    // Health is asked by machines that must always get an answer.
    for _ in 0..5 {
        assert_eq!(anyone.get("/healthz").await.status, 200);
    }
    let own: Vec<_> =
        [anyone.get("search").await, anyone.get("search").await].map(|a| a.status.as_u16()).into();
    assert_eq!(own, [200, 200], "without the header it is the peer's address");
}

#[tokio::test]
async fn without_a_rate_nothing_is_said_of_one() {
    let hub = TestHub::start().await;
    let answer = hub.anonymous().get("search").await;
    assert_eq!((answer.header("ratelimit"), answer.header("ratelimit-policy")), ("", ""));
}

#[tokio::test]
async fn new_adapters_are_limited_by_the_hour_and_new_versions_are_not() {
    let hub = TestHub::start_with(|config| config.rates.new_adapters_per_hour = Some(2)).await;
    let ada = hub.user("ada").await;
    for name in ["ada/a", "ada/b"] {
        assert!(ada.publish(&SampleAdapter::lora(name, "1.0.0")).await.created);
    }
    let refused = ada.try_publish(&SampleAdapter::lora("ada/c", "1.0.0")).await;
    assert_eq!(refused.problem().detail, "`ada` made 2 adapters in the last hour, as many as one may");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((3500..=3601).contains(&wait), "{wait}");
    assert!(ada.publish(&SampleAdapter::lora("ada/a", "1.1.0")).await.created);
}

#[tokio::test]
async fn a_namespace_holds_what_its_quota_says() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/a", "1.0.0");
    let size = sample.manifest.total_size();
    let quota = Quota { max_bytes: Some(2 * size), max_adapters: Some(1) };
    admin::set_quota(hub.app(), &"ada".parse().expect("a name"), quota).await.expect("sets");
    ada.publish(&sample).await;
    let another = ada.try_publish(&SampleAdapter::lora("ada/b", "1.0.0")).await;
    assert_eq!((another.status.as_u16(), another.code()), (403, ProblemCode::QuotaExceeded));
    assert_eq!(another.problem().detail, "`ada` has 1 adapters and may have 1");
    // What was uploaded for it counts until it is dropped, a day later.
    let info: NamespaceInfo = ada.get("namespaces/ada").await.expect_ok();
    assert_eq!((info.usage.adapters, info.usage.bytes, info.usage.uploading_bytes), (1, size, size));

    assert!(ada.put_manifest(&SampleAdapter::lora("ada/a", "1.1.0")).await.status.is_success());
    let third = ada.put_manifest(&SampleAdapter::lora("ada/a", "1.2.0")).await.problem();
    assert_eq!(
        third.detail,
        format!("`ada` holds {} bytes and may hold {}; there is no room for {size} more", 2 * size, 2 * size)
    );
    let upload = ada.start_upload("ada/a", Digest::of(b"new"), 3).await;
    assert_eq!(upload.code(), ProblemCode::QuotaExceeded, "nothing is sent that can't be published");
    admin::set_quota(hub.app(), &"ada".parse().expect("a name"), Quota::default()).await.expect("sets");
    assert!(ada.put_manifest(&SampleAdapter::lora("ada/a", "1.2.0")).await.status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_publishers_do_not_exceed_a_quota_together() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let quota = Quota { max_bytes: None, max_adapters: Some(1) };
    admin::set_quota(hub.app(), &"ada".parse().expect("a name"), quota).await.expect("sets");
    let samples: Vec<_> = (0..4).map(|i| SampleAdapter::lora(&format!("ada/x{i}"), "1.0.0")).collect();
    for sample in &samples {
        ada.upload_files(sample).await;
    }
    let puts = samples.iter().map(|sample| ada.put_manifest(sample));
    let answers = futures_util::future::join_all(puts).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 1, "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
}
