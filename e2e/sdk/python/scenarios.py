"""What merchants' code does with the official SDK for Python."""

import queue
import time
import unittest
import uuid

import stripe

from cardseal import DroppingProxy, Server, booked, client, fresh_amount, method, token

api = client().v1


def pay(amount, **more):
    return api.payment_intents.create(
        {"amount": amount, "currency": "usd", "confirm": True, "payment_method_data": method(), **more}
    )


class Scenarios(unittest.TestCase):
    def test_pay(self):
        amount = fresh_amount()
        paid = pay(amount, metadata={"order": "o-1"})
        self.assertEqual((paid.status, paid.amount_received), ("succeeded", amount))
        read = api.payment_intents.retrieve(paid.id, {"expand": ["latest_charge"]})
        self.assertEqual(read.latest_charge.payment_method_details.card.last4, "4242")
        self.assertEqual(read.metadata["order"], "o-1")
        self.assertEqual(len(booked(amount)), 1)

    def test_pay_in_two_steps(self):
        made = api.payment_methods.create({"type": "card", "card": {"token": token()}})
        intent = api.payment_intents.create({"amount": fresh_amount(), "currency": "eur"})
        self.assertEqual(intent.status, "requires_payment_method")
        paid = api.payment_intents.confirm(intent.id, {"payment_method": made.id})
        self.assertEqual(paid.status, "succeeded")

    def test_answered_at_once(self):
        amount = fresh_amount()
        accepted = api.payment_intents.create(
            {"amount": amount, "currency": "usd", "confirm": True, "payment_method_data": method()},
            {"headers": {"Prefer": "respond-async"}},
        )
        self.assertEqual((accepted.last_response.code, accepted.status), (202, "processing"))
        end = time.monotonic() + 20
        while (intent := api.payment_intents.retrieve(accepted.id)).status == "processing":
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        self.assertEqual((intent.status, intent.amount_received), ("succeeded", amount))
        self.assertEqual(len(booked(amount)), 1)

    def test_decline(self):
        with self.assertRaises(stripe.CardError) as refused:
            pay(fresh_amount(), payment_method_data=method("4000000000000002"))
        error = refused.exception
        self.assertEqual((error.http_status, error.code), (402, "card_declined"))
        self.assertEqual(error.error.decline_code, "generic_decline")
        intent = error.error.payment_intent
        self.assertEqual(intent["status"], "requires_payment_method")
        paid = api.payment_intents.confirm(intent["id"], {"payment_method_data": method()})
        self.assertEqual(paid.status, "succeeded")

    def test_blocked_as_fraud(self):
        amount = fresh_amount()
        with self.assertRaises(stripe.CardError) as refused:
            pay(amount, payment_method_data=method("4100000000000019"))
        error = refused.exception.error
        self.assertEqual((error.code, error.decline_code), ("card_declined", "fraudulent"))
        outcome = api.charges.retrieve(error.charge).outcome
        self.assertEqual((outcome.type, outcome.risk_level), ("blocked", "highest"))
        self.assertEqual(booked(amount), [])

    def test_reviewed(self):
        paid = pay(fresh_amount(), payment_method_data=method("4000000000009235"))
        charge = api.charges.retrieve(paid.latest_charge)
        self.assertEqual(charge.outcome.type, "manual_review")
        self.assertEqual(api.reviews.approve(charge.review).closed_reason, "approved")

    def test_capture_later(self):
        amount = fresh_amount()
        held = pay(amount, capture_method="manual")
        self.assertEqual((held.status, held.amount_capturable), ("requires_capture", amount))
        captured = api.payment_intents.capture(held.id, {"amount_to_capture": amount - 500})
        self.assertEqual((captured.status, captured.amount_received), ("succeeded", amount - 500))
        dropped = api.payment_intents.cancel(pay(fresh_amount(), capture_method="manual").id)
        self.assertEqual(dropped.status, "canceled")

    def test_refund_twice(self):
        amount = fresh_amount()
        paid = pay(amount)
        first = api.refunds.create({"payment_intent": paid.id, "amount": 4_000})
        second = api.refunds.create({"charge": paid.latest_charge})
        self.assertEqual((first.status, second.amount), ("succeeded", amount - 4_000))
        with self.assertRaises(stripe.InvalidRequestError) as refused:
            api.refunds.create({"payment_intent": paid.id})
        self.assertEqual(refused.exception.code, "charge_already_refunded")

    def test_list_with_auto_paging(self):
        run = str(uuid.uuid4())
        made = [
            api.payment_intents.create({"amount": 100 + at, "currency": "usd", "metadata": {"run": run}}).id
            for at in range(5)
        ]
        found = []
        for intent in api.payment_intents.list({"limit": 2}).auto_paging_iter():
            if intent.metadata.to_dict().get("run") == run:
                found.append(intent.id)
            if len(found) == len(made):
                break
        self.assertEqual(found, made[::-1])

    def test_webhooks(self):
        received = queue.Queue()

        def receive(request, body):
            received.put((body, request.headers["stripe-signature"]))
            request.send_response(200)
            request.end_headers()

        with Server(receive) as receiver:
            endpoint = api.webhook_endpoints.create(
                {"url": receiver.url + "/hooks", "enabled_events": ["payment_intent.succeeded"]}
            )
            try:
                paid = pay(fresh_amount())
                body, signature = received.get(timeout=15)
            finally:
                api.webhook_endpoints.delete(endpoint.id)
        event = stripe.Webhook.construct_event(body, signature, endpoint.secret)
        self.assertEqual((event.type, event.data.object.id), ("payment_intent.succeeded", paid.id))
        with self.assertRaises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body + b" ", signature, endpoint.secret)

    def test_automatic_retries(self):
        refunded, amount = fresh_amount(), fresh_amount()
        with DroppingProxy() as proxy:
            retrying = client(proxy.url, retries=3).v1
            proxy.drops = 2
            paid = retrying.payment_intents.create(
                {"amount": amount, "currency": "usd", "confirm": True, "payment_method_data": method()}
            )
            self.assertEqual(paid.status, "succeeded")
            self.assertEqual(len(proxy.seen), 3)
            self.assertEqual(len({key for _, key, _ in proxy.seen}), 1)
            self.assertTrue(proxy.seen[0][1])
            self.assertEqual(proxy.seen[2][2], "true")
            proxy.drops = 1
            back = retrying.refunds.create({"payment_intent": paid.id, "amount": refunded})
            self.assertEqual(back.status, "succeeded")
            self.assertEqual(len(proxy.seen), 5)
        self.assertEqual((len(booked(amount)), len(booked(refunded))), (1, 1))

    def test_idempotency_keys(self):
        amount, options = fresh_amount(), {"idempotency_key": str(uuid.uuid4())}
        wanted = {"amount": amount, "currency": "usd", "confirm": True, "payment_method_data": method()}
        first = api.payment_intents.create(wanted, options)
        again = api.payment_intents.create(wanted, options)
        self.assertEqual(first.id, again.id)
        self.assertEqual(again.last_response.headers["idempotent-replayed"], "true")
        self.assertEqual(len(booked(amount)), 1)
        with self.assertRaises(stripe.IdempotencyError):
            api.payment_intents.create({**wanted, "amount": amount + 1}, options)

    def test_bad_input(self):
        with self.assertRaises(stripe.InvalidRequestError) as unknown:
            api.payment_intents.retrieve("pi_nobodys")
        self.assertEqual((unknown.exception.http_status, unknown.exception.code), (404, "resource_missing"))
        with self.assertRaises(stripe.InvalidRequestError) as parameter:
            api.payment_intents.create({"amount": 100, "currency": "usd", "colour": "red"})
        self.assertEqual((parameter.exception.code, parameter.exception.param), ("parameter_unknown", "colour"))
        with self.assertRaises(stripe.AuthenticationError):
            client(key="sk_test_" + "0" * 38).v1.payment_intents.list()


if __name__ == "__main__":
    unittest.main()
