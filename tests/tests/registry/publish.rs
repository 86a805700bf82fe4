//! Publishing: blobs first, then one request that makes the version visible.

use hub_schemas::{
    api::{CONTENT_DIGEST_HEADER, content_digest},
    digest::Digest,
    manifest::Dependency,
    problem::ProblemCode,
};
use hub_tests::hub::{Answer, SampleAdapter, TestHub};
use insta::{assert_json_snapshot, assert_snapshot, with_settings};
use reqwest::Method;

#[tokio::test]
async fn a_published_version_can_be_read_back_byte_for_byte() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    let published = ada.publish(&sample).await;
    assert!(published.created);
    assert_eq!(published.digest, sample.digest());

    let anyone = hub.anonymous();
    let manifest = anyone.get(&format!("manifests/{}", published.digest)).await;
    assert_eq!(manifest.body, sample.manifest_bytes());
    for (path, bytes) in &sample.files {
        let blob = anyone.get(&format!("adapters/ada/sentiment/blobs/{}", Digest::of(bytes))).await;
        assert_eq!(&blob.body, bytes, "{path}");
    }
    assert_json_snapshot!(
        anyone.get("adapters/ada/sentiment").await.json(),
        {".latest.published_at" => "[time]", ".versions[].published_at" => "[time]"}
    );
}

#[tokio::test]
async fn both_formats_are_accepted() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    assert!(ada.publish(&SampleAdapter::lora("ada/lora", "1.0.0")).await.created);
    assert!(ada.publish(&SampleAdapter::bottleneck("ada/bottleneck", "1.0.0")).await.created);
}

#[tokio::test]
async fn a_manifest_that_was_damaged_on_its_way_is_refused_though_it_could_be_one() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    ada.upload_files(&sample).await;
    let path = "adapters/ada/sentiment/versions/1.0.0";
    let send = async |header: &str, body: Vec<u8>| {
        Answer::of(ada.request(Method::PUT, path).header(CONTENT_DIGEST_HEADER, header).body(body)).await
    };
    let stated = content_digest(&sample.digest());
    let other =
        sample.clone().with(|manifest| manifest.description = "Another text.".to_owned()).manifest_bytes();
    let damaged = send(&stated, other).await;
    assert_eq!((damaged.status.as_u16(), damaged.code()), (422, ProblemCode::DigestMismatch));
    assert_eq!(hub.anonymous().get("adapters/ada/sentiment").await.status, 404);
    let unreadable = send("sha-256=:short:", sample.manifest_bytes()).await;
    assert_eq!((unreadable.status.as_u16(), unreadable.code()), (400, ProblemCode::BadRequest));
    assert_eq!(send(&stated, sample.manifest_bytes()).await.status, 201);
}

#[tokio::test]
async fn the_same_bytes_again_are_fine_and_other_bytes_are_a_conflict() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    assert_eq!(ada.try_publish(&sample).await.status, 201);
    let again = ada.try_publish(&sample).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.json()["created"], false);

    let other = sample.clone().with_file("README.md", b"# Another\n");
    let conflict = ada.try_publish(&other).await;
    assert_eq!((conflict.status.as_u16(), conflict.code()), (409, ProblemCode::VersionExists));
    with_settings!({filters => [("sha256:[0-9a-f]{64}", "[digest]")]}, {
        assert_json_snapshot!(conflict.json(), {".request_id" => "[id]"}, @r#"
        {
          "code": "version-exists",
          "detail": "`ada/sentiment@1.0.0` is published with other content ([digest]); a version never changes",
          "hint": "give the new content a new version",
          "request_id": "[id]",
          "status": 409,
          "title": "The version exists with different content",
          "type": "about:blank"
        }
        "#);
    });
    let kept = hub.anonymous().get(&format!("manifests/{}", sample.digest())).await;
    assert_eq!(kept.body, sample.manifest_bytes(), "the first one stays");
}

#[tokio::test]
async fn of_two_hundred_that_publish_different_bytes_at_once_exactly_one_wins() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let samples: Vec<_> = (0..200)
        .map(|i| {
            let readme = format!("# Number {i}\n");
            SampleAdapter::lora("ada/sentiment", "1.0.0").with_file("README.md", readme.as_bytes())
        })
        .collect();
    for sample in &samples {
        ada.upload_files(sample).await;
    }
    let racing = samples.iter().cloned().map(|sample| {
        let ada = ada.clone();
        tokio::spawn(async move { (sample.digest(), ada.put_manifest(&sample).await) })
    });
    let mut winners = Vec::new();
    for racer in racing.collect::<Vec<_>>() {
        let (digest, answer) = racer.await.expect("no panic");
        match answer.status.as_u16() {
            201 => winners.push(digest),
            status => assert_eq!((status, answer.code()), (409, ProblemCode::VersionExists)),
        }
    }
    assert_eq!(winners.len(), 1);
    let versions = ada.get("adapters/ada/sentiment").await.json()["versions"].clone();
    assert_eq!(versions.as_array().map(Vec::len), Some(1));
    assert_eq!(versions[0]["digest"], winners[0].to_string());
}

#[tokio::test]
async fn of_twenty_that_publish_the_same_bytes_at_once_all_succeed_and_one_creates() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let sample = SampleAdapter::lora("ada/sentiment", "1.0.0");
    ada.upload_files(&sample).await;
    let racing: Vec<_> = (0..20)
        .map(|_| {
            let (ada, sample) = (ada.clone(), sample.clone());
            tokio::spawn(async move { ada.put_manifest(&sample).await.status.as_u16() })
        })
        .collect();
    let mut statuses = Vec::new();
    for racer in racing {
        statuses.push(racer.await.expect("no panic"));
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200; 19], vec![201]].concat());
}

#[tokio::test]
async fn a_file_that_was_not_uploaded_to_this_adapter_is_missing() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/first", "1.0.0")).await;
    // The same files, uploaded to another adapter only: listing a digest is no proof of having the bytes.
    let second = SampleAdapter::lora("ada/second", "1.0.0");
    let refused = ada.put_manifest(&second).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, ProblemCode::BlobMissing));
    let detail = refused.problem().detail;
    assert!(second.files.iter().all(|(path, _)| detail.contains(&format!("`{path}`"))), "{detail}");
    assert_eq!(ada.get("adapters/ada/second").await.status, 404, "nothing was made");
}

#[tokio::test]
async fn a_new_version_needs_no_second_upload_of_unchanged_files() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    ada.publish(&SampleAdapter::lora("ada/sentiment", "1.0.0")).await;
    let next = SampleAdapter::lora("ada/sentiment", "1.1.0");
    assert_eq!(ada.put_manifest(&next).await.status, 201);
}

#[tokio::test]
async fn a_dependency_must_be_in_the_registry_with_a_fitting_version() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    let needing = |name: &str, version: &str| {
        let dependency = Dependency {
            name: name.parse().expect("a name"),
            version: version.parse().expect("a version"),
            extra: serde_json::Map::new(),
        };
        SampleAdapter::lora("ada/sentiment", "1.0.0").with(|m| m.dependencies = vec![dependency])
    };
    ada.publish(&SampleAdapter::lora("ada/language", "1.2.0")).await;
    let mut messages = Vec::new();
    for refused in
        [needing("ada/nothing", "^1"), needing("ada/language", "^2"), needing("ada/sentiment", "*")]
    {
        let answer = ada.try_publish(&refused).await;
        assert_eq!(answer.code(), ProblemCode::InvalidManifest);
        messages.push(answer.problem().detail);
    }
    assert_snapshot!(messages.join("\n"), @r"
    the dependency `ada/nothing@^1` is not in this registry
    the dependency `ada/language@^2` is not in this registry
    `ada/sentiment` lists itself as a dependency
    ");
    assert_eq!(ada.try_publish(&needing("ada/language", "^1.1")).await.status, 201);
}

#[tokio::test]
async fn the_listing_shows_the_newest_release() {
    let hub = TestHub::start().await;
    let ada = hub.user("ada").await;
    for version in ["1.2.0", "1.10.0", "1.9.0", "2.0.0-rc.1"] {
        ada.publish(&SampleAdapter::lora("ada/sentiment", version)).await;
    }
    let info = ada.get("adapters/ada/sentiment").await.json();
    assert_eq!(info["latest"]["version"], "1.10.0");
    let versions: Vec<_> =
        info["versions"].as_array().expect("a list").iter().map(|v| v["version"].clone()).collect();
    assert_eq!(versions, ["2.0.0-rc.1", "1.10.0", "1.9.0", "1.2.0"]);
}
