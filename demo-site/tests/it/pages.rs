//! The pages: what they embed, and the headers they are sent with.

use harness::shows_a_card;

use crate::{pay, worlds};

#[tokio::test(flavor = "multi_thread")]
async fn the_checkout_page_embeds_the_loader_and_nothing_inline() {
    for world in worlds().await {
        let (order, buyer) = world.order("notebook").await;
        let page = buyer.get(&format!("/checkout/{order}")).await;
        for part in [
            r#"<script src="http://vault.localhost:4001/v1/cardseal.js"></script>"#,
            r#"<div id="card"></div>"#,
            r#"<button id="pay">Pay $18.00</button>"#,
            r#"id="payment-message" role="alert""#,
            r#"data-key="pk_test_of_the_shop""#,
        ] {
            assert!(page.text.contains(part), "{part}\n{}", page.text);
        }
        assert!(
            !page.text.contains("sk_test") && !page.text.contains('{'),
            "{}",
            page.text
        );
        let policy = page.headers["content-security-policy"]
            .to_str()
            .expect("ASCII");
        for part in [
            "default-src 'none'",
            "script-src 'self' http://vault.localhost:4001;",
            "frame-src http://vault.localhost:4001 http://",
            "connect-src 'self' http://vault.localhost:4001 http://",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{part}: {policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(page.headers["cache-control"], "no-store");

        assert_eq!(pay(&buyer, &order, "tok_declined").await.0, "declined");
        let page = buyer.get(&format!("/checkout/{order}")).await;
        assert!(
            page.text.contains("Your card was declined."),
            "a reload still says so"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_and_its_files() {
    for world in worlds().await {
        let page = world.shop.get("/").await;
        assert!(page.text.contains("Desk lamp") && page.text.contains("$129.00"));
        for path in [
            "/assets/shop.css",
            "/assets/checkout.js",
            "/assets/gallery.js",
            "/gallery",
            "/assets/goods/lamp.svg",
            "/healthz",
            "/readyz",
        ] {
            assert_eq!(world.shop.get(path).await.status, 200, "{path}");
        }
        let refused = world.shop.get("/checkout/4242424242424242?x=1").await;
        assert_eq!(refused.status, 404);
        assert!(!shows_a_card(&refused.text));
        assert!(refused.headers.contains_key("strict-transport-security"));
        let form = "application/x-www-form-urlencoded";
        let answer = world.shop.post_text("/orders", form, "item=pen").await;
        let cookie = answer.headers["set-cookie"].to_str().expect("ASCII");
        assert!(cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    }
}
