//! On which threads a page is made.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Request;

use super::*;
use crate::component::Handler as _;

/// The whole page as it is served.
async fn served(pages: &PageHandler) -> String {
    let request = Request::builder().body(Bytes::new()).unwrap();
    let body = pages.handle(request).await.into_body();
    let bytes = body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_page_in_the_making_holds_no_worker() {
    let mut rig = Rig::new("");
    rig.send(vec![gauge("g", vec![number(1, 1.0)])]);
    let pages = PageHandler::new(Arc::clone(&rig.shared), Arc::clone(&rig.settings), None);
    // A thread locks the page until it is told to release it.
    let (held, is_held) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let shared = Arc::clone(&rig.shared);
    let holder = std::thread::spawn(move || {
        let guard = lock(&shared);
        held.send(()).unwrap();
        let _ = released.recv();
        drop(guard);
    });
    is_held.recv().unwrap();
    let scrape = tokio::spawn(async move { served(&pages).await });
    for _ in 0..100 {
        // The one worker of this runtime isn't blocked: it returns here each time.
        tokio::task::yield_now().await;
    }
    assert!(!scrape.is_finished());
    release.send(()).unwrap();
    holder.join().unwrap();
    assert!(scrape.await.unwrap().contains("\ng{"));
}

#[test]
fn families_beyond_a_slice_stand_on_the_page_in_order() {
    let mut rig = Rig::new("");
    let name = |n: usize| format!("g{n:04}");
    rig.send(
        (0..3_000)
            .map(|n| gauge(&name(n), vec![number(1, 1.0)]))
            .collect(),
    );
    for format in [Format::Text, Format::OpenMetrics] {
        let page = rig.page(format);
        let found: Vec<&str> = page
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE g"))
            .filter_map(|line| line.split(' ').next())
            .collect();
        let expected: Vec<String> = (0..3_000).map(|n| format!("{n:04}")).collect();
        assert_eq!(found, expected);
    }
}
