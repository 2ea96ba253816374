//! The orders' table as both stores have it: columns, indexes, and what no row may be.

use store::{Error, params};

use crate::{World, worlds};

const TEXT: &str = "text";
const INTEGER: &str = "integer";

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_the_same_on_both_stores() {
    let columns = [
        ("amount", INTEGER, true),
        ("created_at", INTEGER, true),
        ("currency", TEXT, true),
        ("failure_reason", TEXT, false),
        ("id", TEXT, true),
        ("paid_at", INTEGER, false),
        ("payment_intent_id", TEXT, false),
        ("plan_id", TEXT, true),
        ("refund_id", TEXT, false),
        ("session_id", TEXT, false),
        ("status", TEXT, true),
        ("user_id", TEXT, true),
    ]
    .map(|(name, kind, required)| (name.to_owned(), kind.to_owned(), required));
    let indexes = [
        "orders_paid",
        "orders_plan",
        "orders_status_created",
        "orders_user",
    ];
    for world in worlds().await {
        assert_eq!(world.columns().await, columns);
        assert_eq!(world.indexes().await, indexes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_order_may_be_is_refused_by_the_store() {
    for world in worlds().await {
        for status in [
            "pending",
            "paid",
            "failed",
            "refunded",
            "cancelled",
            "disputed",
        ] {
            let taken = world.insert(1, "usd", status, status).await;
            taken.unwrap_or_else(|error| panic!("{status}: {error}"));
        }
        for (amount, currency, status, unique) in [
            (0, "usd", "pending", "new"),
            (-1, "usd", "pending", "new"),
            (1, "us", "pending", "new"),
            (1, "usdx", "pending", "new"),
            (1, "usd", "shipped", "new"),
            // The session and the payment of an order that is there.
            (1, "usd", "pending", "paid"),
        ] {
            let refused = world.insert(amount, currency, status, unique).await;
            assert!(refused.is_err(), "{amount} {currency} {status} {unique}");
        }
        assert_eq!(world.count("from orders").await, 6);
    }
}

impl World {
    async fn columns(&self) -> Vec<(String, String, bool)> {
        let sql = if self.store.is_postgres() {
            "select column_name::text, case data_type when 'bigint' then 'integer' else data_type::text end,
                 cast(case is_nullable when 'NO' then 1 else 0 end as bigint)
             from information_schema.columns where table_name = 'orders' order by 1"
        } else {
            "select name, lower(type), \"notnull\" or pk from pragma_table_info('orders') order by 1"
        };
        let rows = self.store.read(move |tx| tx.all(sql, params![])).await;
        let rows = rows.map_err(|e: Error| e).expect("read");
        rows.iter()
            .map(|row| {
                let text = |at| row.get(at).expect("text");
                (text(0), text(1), row.get::<i64>(2).expect("a number") == 1)
            })
            .collect()
    }

    // Those of the schema's own, not what keys and `unique` bring.
    async fn indexes(&self) -> Vec<String> {
        let sql = if self.store.is_postgres() {
            "select indexrelid::regclass::text from pg_index
             where indrelid = 'orders'::regclass and not indisunique order by 1"
        } else {
            "select name from pragma_index_list('orders') where origin = 'c' order by 1"
        };
        let rows = self.store.read(move |tx| tx.all(sql, params![])).await;
        let rows = rows.map_err(|e: Error| e).expect("read");
        let names = rows.iter().map(|row| row.get(0).expect("text"));
        names.collect()
    }

    async fn insert(
        &self,
        amount: i64,
        currency: &'static str,
        status: &'static str,
        unique: &'static str,
    ) -> Result<u64, Error> {
        let id = format!("{amount}{currency}{status}{unique}");
        let work = move |tx: &mut store::Tx<'_>| {
            tx.execute(
                "insert into orders (id, user_id, plan_id, amount, currency, status, session_id, payment_intent_id, created_at)
                 values ($1, 'buyer', 'pen', $2, $3, $4, $5, $6, 0)",
                params![
                    &id,
                    amount,
                    currency,
                    status,
                    format!("cs_{unique}"),
                    format!("pi_{unique}")
                ],
            )
        };
        self.store.write(work).await
    }
}
