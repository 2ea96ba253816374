//! What an operator does from the command line, on the database: webhook endpoints, and events sent once more.

use std::io::Write as _;

use anyhow::Context as _;
use serde_json::json;
use service::Clock;
use store::Tx;
use vault_api::ids::new_id;

use crate::app::Owner;
use crate::cli::{CreateEndpoint, Database, Events, Resend, RollSecret, WebhookEndpoints};
use crate::error::Error;
use crate::open;
use crate::seal::Seal;
use crate::webhooks::endpoints::{self, Endpoint};
use crate::webhooks::records;
use crate::webhooks::retry::Policy;

/// `payments webhook-endpoints`
pub async fn webhook_endpoints(command: WebhookEndpoints) -> anyhow::Result<()> {
    match command {
        WebhookEndpoints::Create(create) => create_endpoint(create).await,
        WebhookEndpoints::List(database) => list_endpoints(&database).await,
        WebhookEndpoints::RollSecret(roll) => roll_secret(roll).await,
    }
}

/// `payments events`
pub async fn events(command: Events) -> anyhow::Result<()> {
    match command {
        Events::Resend(resend) => resend_event(resend).await,
    }
}

async fn create_endpoint(create: CreateEndpoint) -> anyhow::Result<()> {
    anyhow::ensure!(
        create.merchant.starts_with("mer_"),
        "--merchant must be a merchant's id, mer_.."
    );
    let store = open(&create.database.database)?;
    let seal = Seal::from_file(&create.seal_key.seal_key_file)?;
    let owner = Owner {
        merchant: create.merchant,
        livemode: create.livemode,
    };
    let (id, now_ms) = (new_id("we"), Clock::system().now_ms());
    let mut endpoint = Endpoint::new(&seal, id, &owner, &create.url, create.events, now_ms)?;
    endpoint.policy = create.retry_policy.as_deref().and_then(Policy::parse);
    let secret = endpoint.secrets.current(&seal, &endpoint.id)?;
    let shown = json!({ "id": endpoint.id, "secret": *secret });
    store
        .write(move |tx: &mut Tx<'_>| endpoint.insert(tx))
        .await?;
    writeln!(std::io::stdout(), "{shown}")?;
    Ok(())
}

async fn list_endpoints(database: &Database) -> anyhow::Result<()> {
    let store = open(&database.database)?;
    let list = store.read(|tx: &mut Tx<'_>| endpoints::all(tx)).await?;
    for endpoint in list {
        let mut object = endpoint.object();
        object["merchant"] = json!(endpoint.owner.merchant);
        writeln!(std::io::stdout(), "{object}")?;
    }
    Ok(())
}

async fn roll_secret(roll: RollSecret) -> anyhow::Result<()> {
    let store = open(&roll.database.database)?;
    let seal = Seal::from_file(&roll.seal_key.seal_key_file)?;
    let (subject, until) = (
        new_id("roll"),
        Clock::system().now() + roll.previous_expires_in,
    );
    let id = roll.endpoint.clone();
    let write = move |tx: &mut Tx<'_>| -> Result<_, Error> {
        let Some(mut endpoint) = Endpoint::by_id(tx, &id)? else {
            return Ok(None);
        };
        endpoint.roll(tx, &seal, &subject, until).map(Some)
    };
    let secret = store.write(write).await?;
    let secret = secret.with_context(|| no_such("webhook endpoint", "webhook-endpoints list"))?;
    let shown = json!({ "id": roll.endpoint, "secret": *secret });
    writeln!(std::io::stdout(), "{shown}")?;
    Ok(())
}

async fn resend_event(resend: Resend) -> anyhow::Result<()> {
    let store = open(&resend.database.database)?;
    let (id, only, now_ms) = (
        resend.event.clone(),
        resend.webhook_endpoint,
        Clock::system().now_ms(),
    );
    let write = move |tx: &mut Tx<'_>| -> Result<_, Error> {
        let row = tx.first(
            "select merchant, livemode from events where id = $1",
            store::params![&id],
        )?;
        let Some(row) = row else {
            return Ok(None);
        };
        let owner = Owner {
            merchant: row.get(0)?,
            livemode: row.get(1)?,
        };
        records::resend(tx, &owner, &id, only.as_deref(), now_ms).map(Some)
    };
    let count = store.write(write).await?;
    let count = count.context("no such event in this database")?;
    let shown = json!({ "id": resend.event, "deliveries": count });
    writeln!(std::io::stdout(), "{shown}")?;
    Ok(())
}

fn no_such(what: &str, command: &str) -> String {
    format!("no such {what} in this database; `payments {command}` names them")
}
