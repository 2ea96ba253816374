//! The desk: what a dialect's message asks of the bank is done here, under whatever fault is due, and answered in the
//! dialect's words.

use axum::http::HeaderMap;
use axum::response::Response;
use card::{Brand, Month};
use pan::Pan;
use serde_json::json;
use service::traces::Context;

use crate::Bank;
use crate::acquirer::Acquirer;
use crate::book::disputes::{self, Answer, Dispute};
use crate::book::returns::{self, Returned};
use crate::book::reversals::{self, Reversed};
use crate::book::settlement::{self, Batch};
use crate::book::{self, CardFacts, Change, Entry, Names, NewPayment, Payment, notifications};
use crate::cards::{Address, CardText};
use crate::dialects::Problem;
use crate::faults::{self, Fault, Kind, Message, Operation};
use crate::issuer::{self, Decision};
use crate::three_ds::cards::{self, Wants};
use crate::three_ds::terms::Terms;

/// A new payment, as asked for.
pub(crate) struct Sale {
    pub(crate) reference: String,
    pub(crate) merchant: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) capture: bool,
    pub(crate) card: CardText,
    pub(crate) address: Address,
    pub(crate) terms: Terms,
}

/// What the bank answers, before it is put into words.
pub(crate) enum Reply {
    /// To a new payment: how it was answered at first. The number only for the fault that echoes it.
    Paid(Box<Payment>, Option<Pan>),
    /// To an inquiry, with the time to judge them by.
    Found(Vec<Payment>, i64),
    /// To a capture, void or refund.
    Changed(Entry),
    Reversed(Reversed),
    /// Refunds that came back.
    Returned(Vec<Returned>),
    Disputes(Vec<Dispute>),
    Dispute(Dispute),
    Batch(Batch),
}

/// The words of a dialect.
pub(crate) type Words = fn(Result<Reply, Problem>) -> Response;

/// A call at the desk of an acquirer.
pub(crate) struct Desk {
    pub(crate) bank: Bank,
    pub(crate) acquirer: Acquirer,
    pub(crate) headers: HeaderMap,
    pub(crate) words: Words,
}

impl Desk {
    fn fault(
        &self,
        operation: Operation,
        amount: Option<i64>,
        reference: &str,
    ) -> Result<Option<Fault>, Problem> {
        self.bank.0.faults.take(&Message {
            acquirer: self.acquirer,
            operation,
            headers: &self.headers,
            amount,
            reference,
        })
    }

    async fn under(
        &self,
        fault: Option<&Fault>,
        work: impl Future<Output = Result<Reply, Problem>> + Send + 'static,
    ) -> Response {
        let words = self.words;
        let outage = words(Err(Problem::OUTAGE));
        faults::under(fault, outage, async move { words(work.await) }).await
    }

    /// A refusal in the dialect's words.
    pub(crate) fn refuse(&self, problem: Problem) -> Response {
        (self.words)(Err(problem))
    }

    /// Takes a payment.
    pub(crate) async fn pay(self, sale: Result<Sale, Problem>) -> Response {
        match self.decided(sale) {
            Ok((new, fault, echo)) => {
                let late = fault.as_ref().is_some_and(|f| f.kind == Kind::LateApproval);
                let work = booked(self.bank.clone(), new, late, echo);
                self.under(fault.as_ref(), work).await
            }
            Err(problem) => self.refuse(problem),
        }
    }

    // The issuer's decision on what was asked; the number itself only for the fault that echoes it.
    fn decided(
        &self,
        sale: Result<Sale, Problem>,
    ) -> Result<(NewPayment, Option<Fault>, Option<Pan>), Problem> {
        let sale = sale?;
        let (reference, merchant) = (
            name_of(sale.reference, "reference")?,
            name_of(sale.merchant, "merchant")?,
        );
        let amount = amount_of(sale.amount)?;
        let currency = sale.currency.to_ascii_lowercase();
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_lowercase()) {
            return Err(Problem::field("currency"));
        }
        let bank = &self.bank.0;
        if let Some(name) = sale.terms.wrong_field() {
            return Err(Problem::field(name));
        }
        let (facts, decision, wants, number) = match sale.card.card()? {
            Some(card) => {
                let facts = CardFacts {
                    brand: card.number.brand().facts().id,
                    last4: card.number.last4().to_owned(),
                    hmac: Some(bank.card_key.hash(&card.number)),
                };
                let today = Month::of_unix(bank.clock.now());
                let decision = issuer::decide(&card, &sale.address, today);
                let (wants, _) = cards::of(&card.number);
                (facts, decision, wants, Some(card.number))
            }
            None => {
                let facts = CardFacts {
                    brand: Brand::Unknown.facts().id,
                    last4: String::new(),
                    hmac: None,
                };
                (facts, Decision::no_such_card(), Wants::Nothing, None)
            }
        };
        self.log(facts.brand, decision.code);
        let fault = self.fault(Operation::Payment, Some(amount), &reference)?;
        let echo = fault
            .as_ref()
            .filter(|f| f.kind == Kind::EchoPan)
            .and(number);
        let new = NewPayment {
            acquirer: self.acquirer,
            reference,
            merchant,
            amount,
            currency,
            capture: sale.capture,
            card: facts,
            decision,
            wants,
            terms: sale.terms,
        };
        Ok((new, fault, echo))
    }

    // Three parties, each with its line, in the trace that the buyer's click began.
    fn log(&self, network: &str, code: &str) {
        let trace_id = Context::of(&self.headers).trace;
        let acquirer = self.acquirer.name();
        tracing::info!(trace_id, acquirer, "acquirer: a payment is asked for");
        tracing::info!(trace_id, network, "network: the issuer is asked");
        tracing::info!(trace_id, network, code, "issuer: decided");
    }

    /// Says what is known of a reference.
    pub(crate) async fn inquire(self, reference: String) -> Response {
        let (bank, acquirer) = (self.bank.clone(), self.acquirer);
        let asked = name_of(reference, "reference").and_then(|reference| {
            let fault = self.fault(Operation::Inquiry, None, &reference)?;
            Ok((reference, fault))
        });
        let (reference, fault) = match asked {
            Ok(asked) => asked,
            Err(problem) => return self.refuse(problem),
        };
        let work = async move {
            let store = &bank.0.store;
            let found = store.read(move |tx| book::by_reference(tx, acquirer, &reference));
            Ok(Reply::Found(found.await?, bank.0.clock.now_ms()))
        };
        self.under(fault.as_ref(), work).await
    }

    /// Captures, voids or refunds.
    pub(crate) async fn change(
        self,
        payment: String,
        change: Change,
        reference: String,
    ) -> Response {
        let (operation, amount) = match change {
            Change::Capture(amount) => (Operation::Capture, Some(amount)),
            Change::Refund(amount) => (Operation::Refund, Some(amount)),
            Change::Void => (Operation::Void, None),
        };
        let asked = name_of(reference, "reference").and_then(|reference| {
            amount.map_or(Ok(0), amount_of)?;
            let fault = self.fault(operation, amount, &reference)?;
            Ok((reference, fault))
        });
        let (reference, fault) = match asked {
            Ok(asked) => asked,
            Err(problem) => return self.refuse(problem),
        };
        let (bank, acquirer) = (self.bank.clone(), self.acquirer);
        let work = async move {
            if !is_id(&payment) {
                return Err(Problem::NO_SUCH_PAYMENT);
            }
            let (entry_id, now) = (book::new_entry_id(), bank.0.clock.now_ms());
            let store = &bank.0.store;
            let booked = store.write(move |tx| {
                book::change(tx, acquirer, &payment, change, &reference, &entry_id, now)
            });
            booked
                .await?
                .map(Reply::Changed)
                .ok_or(Problem::NO_SUCH_PAYMENT)
        };
        self.under(fault.as_ref(), work).await
    }

    /// Takes back whatever was taken under a reference, for good.
    pub(crate) async fn reverse(self, reference: String) -> Response {
        let asked = name_of(reference, "reference").and_then(|reference| {
            let fault = self.fault(Operation::Reversal, None, &reference)?;
            Ok((reference, fault))
        });
        let (reference, fault) = match asked {
            Ok(asked) => asked,
            Err(problem) => return self.refuse(problem),
        };
        let (bank, acquirer) = (self.bank.clone(), self.acquirer);
        let work = async move {
            let now = bank.0.clock.now_ms();
            let store = &bank.0.store;
            let reversed = store.write(move |tx| reversals::reverse(tx, acquirer, &reference, now));
            Ok(Reply::Reversed(reversed.await?))
        };
        self.under(fault.as_ref(), work).await
    }

    /// The disputes that changed since (milliseconds).
    pub(crate) async fn disputes(self, since: i64) -> Response {
        let (bank, acquirer) = (self.bank.clone(), self.acquirer);
        let work = async move {
            let read = move |tx: &mut store::Tx<'_>| disputes::changed_since(tx, acquirer, since);
            Ok(Reply::Disputes(bank.0.store.read(read).await?))
        };
        self.about_dispute(work).await
    }

    /// The refunds that came back since (milliseconds).
    pub(crate) async fn returned(self, since: i64) -> Response {
        let (bank, acquirer) = (self.bank.clone(), self.acquirer);
        let work = async move {
            let read = move |tx: &mut store::Tx<'_>| returns::since(tx, acquirer, since);
            Ok(Reply::Returned(bank.0.store.read(read).await?))
        };
        match self.fault(Operation::Inquiry, None, "") {
            Ok(fault) => self.under(fault.as_ref(), work).await,
            Err(problem) => self.refuse(problem),
        }
    }

    /// One dispute, after the merchant's answer if there is one.
    pub(crate) async fn dispute(self, id: String, answer: Option<Answer>) -> Response {
        let (bank, acquirer) = (self.bank.clone(), self.acquirer);
        let work = async move {
            if !is_id(&id) {
                return Err(Problem::NO_SUCH_DISPUTE);
            }
            let now = bank.0.clock.now_ms();
            let store = &bank.0.store;
            let found = match answer {
                None => {
                    store
                        .read(move |tx| disputes::find(tx, acquirer, &id))
                        .await
                }
                Some(answer) => {
                    let write = move |tx: &mut store::Tx<'_>| {
                        disputes::answer(tx, acquirer, &id, &answer, now)
                    };
                    store.write(write).await
                }
            };
            found?.map(Reply::Dispute).ok_or(Problem::NO_SUCH_DISPUTE)
        };
        self.about_dispute(work).await
    }

    async fn about_dispute(
        self,
        work: impl Future<Output = Result<Reply, Problem>> + Send + 'static,
    ) -> Response {
        match self.fault(Operation::Dispute, None, "") {
            Ok(fault) => self.under(fault.as_ref(), work).await,
            Err(problem) => self.refuse(problem),
        }
    }

    /// A day's settlement file.
    pub(crate) async fn settlement(self, date: &str) -> Response {
        let asked = card::calendar::day_of(date).ok_or(Problem::field("day"));
        let asked = asked.and_then(|day| Ok((day, self.fault(Operation::Settlement, None, "")?)));
        let (day, fault) = match asked {
            Ok(asked) => asked,
            Err(problem) => return self.refuse(problem),
        };
        let (bank, acquirer) = (self.bank.clone(), self.acquirer);
        let work = async move {
            let now = bank.0.clock.now_ms();
            let read = move |tx: &mut store::Tx<'_>| settlement::batch(tx, acquirer, day, now);
            let batch = bank.0.store.read(read).await?;
            batch.map(Reply::Batch).ok_or(Problem::BATCH_OPEN)
        };
        self.under(fault.as_ref(), work).await
    }
}

async fn booked(
    bank: Bank,
    new: NewPayment,
    late: bool,
    echo: Option<Pan>,
) -> Result<Reply, Problem> {
    let dialect = new.acquirer.name();
    let (names, now) = (Names::new(new.acquirer), bank.0.clock.now_ms());
    let write = move |tx: &mut store::Tx<'_>| {
        let payment = book::pay(tx, &new, &names, now)?;
        if late && payment.authorised > 0 {
            let what = json!({ "type": "payment.approved", "reference": new.reference });
            notifications::put(tx, new.acquirer, &what, now)?;
        }
        Ok::<_, store::Error>(payment)
    };
    let payment = bank.0.store.write(write).await?;
    let labels = [
        ("dialect", dialect),
        ("response_code", payment.response_code.as_str()),
    ];
    bank.0.metrics.count("acquirer_payments_total", &labels);
    Ok(Reply::Paid(Box::new(payment), echo))
}

fn is_id(id: &str) -> bool {
    id.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

fn amount_of(amount: i64) -> Result<i64, Problem> {
    // Twelve digits, as ISO 8583 field 4 has.
    if (1..=999_999_999_999).contains(&amount) {
        Ok(amount)
    } else {
        Err(Problem::field("amount"))
    }
}

// References and merchant names end up in the book, so a card number may not hide in them.
fn name_of(text: String, field: &'static str) -> Result<String, Problem> {
    let fits = (1..=100).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic())
        && !card::filter::holds_card_number(&text);
    if fits {
        Ok(text)
    } else {
        Err(Problem::field(field))
    }
}
