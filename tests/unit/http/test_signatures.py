"""Signatures of webhooks: the vectors that their specifications publish, and what forgers try."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from jetway.http.signatures import MOST_SIGNATURES, WINDOW, Scheme, SignatureError, Signed, verify


@dataclass(frozen=True)
class Delivery:
    """One signed request, as its sender makes it."""

    scheme: Scheme
    headers: dict[str, str]
    body: bytes
    secret: str
    now: float

    def verify(self, *secrets: str) -> Signed:
        return verify(self.scheme, self.headers, self.body, secrets or (self.secret,), now=self.now)


# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
GITHUB = Delivery(
    "github",
    {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
    b"Hello, World!",
    "It's a Secret to Everybody",
    0.0,
)
# The vector of the specification's reference libraries.
STANDARD = Delivery(
    "standard",
    {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    b'{"test": 2432232314}',
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    1614265330.0,
)


def stripe(body: bytes = b'{"id": "evt_1"}', secret: str = "whsec_test_secret", time: int = 1492774577) -> Delivery:
    """Sign as https://docs.stripe.com/webhooks#verify-manually says; Stripe publishes no vector with its secret."""
    signature = hmac.new(secret.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    # The v0 is the one of Stripe's own example: other schemes are to be passed over.
    v0 = "6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"
    return Delivery("stripe", {"stripe-signature": f"t={time},v1={signature},v0={v0}"}, body, secret, float(time))


ALL = [GITHUB, STANDARD, stripe()]
WITH_TIME = [STANDARD, stripe()]
name: Callable[[Delivery], str] = lambda delivery: delivery.scheme  # noqa: E731 - an id function for parametrize


@pytest.mark.parametrize("delivery", ALL, ids=name)
def test_what_the_sender_has_signed_is_accepted(delivery: Delivery) -> None:
    signed = delivery.verify()
    assert (signed.timestamp is None) == (delivery.scheme == "github")
    assert signed.identity


@given(
    st.text("abc_0", min_size=1),
    st.integers(10**9, 10**10),
    st.text(st.characters(codec="utf-8")),
    st.binary(min_size=24),
)
def test_what_the_reference_library_signs_is_accepted_and_nothing_else_of_it(
    id_: str, seconds: int, body: str, key: bytes
) -> None:
    secret = f"whsec_{base64.b64encode(key).decode()}"
    signature = Webhook(secret).sign(id_, datetime.fromtimestamp(seconds, UTC), body)
    headers = {"webhook-id": id_, "webhook-timestamp": str(seconds), "webhook-signature": signature}
    delivery = Delivery("standard", headers, body.encode(), secret, float(seconds))
    assert delivery.verify().timestamp == seconds
    with pytest.raises(SignatureError, match="does not match"):
        replace(delivery, headers={**headers, "webhook-id": f"{id_}x"}).verify()


@pytest.mark.parametrize("delivery", ALL, ids=name)
@pytest.mark.parametrize("secrets", [("new", "old"), ("old", "new")])
def test_two_secrets_are_valid_at_once_and_a_third_is_not(delivery: Delivery, secrets: tuple[str, str]) -> None:
    other = "whsec_" + base64.b64encode(b"another secret of 24 bytes").decode()
    known = {"new": other, "old": delivery.secret}
    assert delivery.verify(*(known[secret] for secret in secrets)) == delivery.verify()
    with pytest.raises(SignatureError, match="does not match"):
        delivery.verify(other)


@pytest.mark.parametrize("delivery", ALL, ids=name)
def test_without_a_secret_nothing_is_accepted(delivery: Delivery) -> None:
    with pytest.raises(SignatureError, match="does not match"):
        verify(delivery.scheme, delivery.headers, delivery.body, (), now=delivery.now)


@pytest.mark.parametrize("delivery", ALL, ids=name)
@pytest.mark.parametrize(
    "forge", [lambda body: body + b" ", lambda body: body[:-1], lambda _: b"", lambda b: b.upper()]
)
def test_another_body_is_a_forgery(delivery: Delivery, forge: Callable[[bytes], bytes]) -> None:
    with pytest.raises(SignatureError, match="does not match"):
        replace(delivery, body=forge(delivery.body)).verify()


@pytest.mark.parametrize("delivery", ALL, ids=name)
@pytest.mark.parametrize("cut", [1, 2, 10, 60])
def test_a_truncated_signature_is_refused(delivery: Delivery, cut: int) -> None:
    header = next(header for header in delivery.headers if "signature" in header)
    value = delivery.headers[header].partition(",v0=")[0]
    with pytest.raises(SignatureError):
        replace(delivery, headers={**delivery.headers, header: value[:-cut]}).verify()


@pytest.mark.parametrize("delivery", ALL, ids=name)
def test_every_missing_header_is_named(delivery: Delivery) -> None:
    for header in delivery.headers:
        headers = {key: value for key, value in delivery.headers.items() if key != header}
        with pytest.raises(SignatureError, match=f"{header} is missing"):
            replace(delivery, headers=headers).verify()


@pytest.mark.parametrize("delivery", WITH_TIME, ids=name)
@pytest.mark.parametrize(("off", "taken"), [(WINDOW, True), (-WINDOW, True), (WINDOW + 1, False), (-WINDOW - 1, False)])
def test_five_minutes_are_the_window_to_both_sides(delivery: Delivery, off: float, *, taken: bool) -> None:
    late = replace(delivery, now=delivery.now + off)
    if taken:
        late.verify()
        return
    with pytest.raises(SignatureError, match="more than 300 s"):
        late.verify()


@pytest.mark.parametrize("delivery", WITH_TIME, ids=name)
@pytest.mark.parametrize("time", ["", "soon", "-1", "1e9", "1614265331", "٣", "9" * 400, "1614265330.0", " 1614265330"])
def test_a_timestamp_that_was_not_signed_is_refused(delivery: Delivery, time: str) -> None:
    headers = {
        key: time if key == "webhook-timestamp" else value.replace("t=1492774577", f"t={time}")
        for key, value in delivery.headers.items()
    }
    if delivery.scheme == "standard" and time.strip() == "1614265330":
        return  # white space around a header's value is no part of it
    with pytest.raises(SignatureError):
        replace(delivery, headers=headers).verify()


def test_the_id_of_standard_webhooks_is_signed_and_has_no_full_stop() -> None:
    for id_ in ("msg_other", "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330"):
        with pytest.raises(SignatureError):
            replace(STANDARD, headers={**STANDARD.headers, "webhook-id": id_}).verify()


def test_other_versions_of_signatures_are_passed_over_and_never_taken() -> None:
    (signature,) = [STANDARD.headers["webhook-signature"]]
    several = {**STANDARD.headers, "webhook-signature": f"v1a,AAAA v1,bm9uZQ== {signature}"}
    assert replace(STANDARD, headers=several).verify() == STANDARD.verify()
    for wrong in (signature.replace("v1,", "v1a,"), signature.replace("v1,", "v2,"), signature.replace("v1,", "")):
        with pytest.raises(SignatureError):
            replace(STANDARD, headers={**STANDARD.headers, "webhook-signature": wrong}).verify()


def test_a_v0_of_stripe_is_never_taken() -> None:
    delivery = stripe()
    value = delivery.headers["stripe-signature"].replace("v1=", "vX=").replace("v0=", "v1=").replace("vX=", "v0=")
    with pytest.raises(SignatureError):
        replace(delivery, headers={"stripe-signature": value}).verify()


def test_sha1_of_github_is_never_taken() -> None:
    digest = hmac.new(GITHUB.secret.encode(), GITHUB.body, hashlib.sha1).hexdigest()
    for value in (f"sha1={digest}", digest, f"sha256={digest}", f"SHA256={'0' * 64}"):
        with pytest.raises(SignatureError, match="64 hexadecimal"):
            replace(GITHUB, headers={"x-hub-signature-256": value}).verify()


def test_signatures_by_the_thousand_are_refused() -> None:
    value = "t=1492774577," + ",".join(f"v1={number:064x}" for number in range(MOST_SIGNATURES + 1))
    with pytest.raises(SignatureError, match="more than 10"):
        replace(stripe(), headers={"stripe-signature": value}).verify()


@pytest.mark.parametrize(
    "secret", ["whsec_not base64!", "whsec_", "", "whsec_" + base64.b64encode(b"of 15 bytes ...").decode()]
)
def test_a_secret_that_cannot_sign_refuses_in_the_words_of_a_wrong_one(secret: str) -> None:
    with pytest.raises(SignatureError, match=r"^the signature does not match the body$"):
        STANDARD.verify(secret)


@pytest.mark.parametrize("secret", ["", " ", "of 15 bytes ...", " " * 40, "x" + " " * 40])
def test_a_short_secret_signs_nothing(secret: str) -> None:
    with pytest.raises(SignatureError, match="does not match"):
        stripe(secret=secret).verify()
    assert stripe(secret="of 16 bytes ....").verify().identity


def test_the_next_try_of_one_delivery_has_its_identity_and_another_proof() -> None:
    first, second = stripe(time=1492774577).verify(), stripe(time=1492774600).verify()
    assert first.identity == second.identity
    assert first.proof != second.proof


@given(
    st.sampled_from(["github", "stripe", "standard"]),
    st.dictionaries(
        st.sampled_from(
            ["x-hub-signature-256", "stripe-signature", "webhook-id", "webhook-timestamp", "webhook-signature"]
        ),
        st.text(max_size=90) | st.from_regex(r"t=[0-9]+,v1=[0-9a-f]{64}") | st.from_regex(r"sha256=[0-9a-f]{64}"),
    ),
    st.binary(max_size=50),
)
def test_no_headers_are_accepted_by_chance_or_crash(scheme: Scheme, headers: dict[str, str], body: bytes) -> None:
    accepted = False
    with suppress(SignatureError):
        verify(scheme, headers, body, ["whsec_c2VjcmV0"], now=1e9)
        accepted = True
    assert not accepted
