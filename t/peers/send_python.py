"""Sends by mParticle's server SDK for Python: send_python.py BASE-URL KEY SECRET NAME, run by a Python that has it. An
object a line on standard output: what was sent ("body", as the SDK serializes it), where, and the status that came back."""
from __future__ import annotations

import itertools
import json
import os
import sys

import mparticle
from mparticle.rest import ApiException

BASE, KEY, SECRET, NAME = sys.argv[1:]
numbers = itertools.count(1)


def tagged(event: object) -> object:
    number = next(numbers)
    event.custom_attributes = {"kf_event": f"{NAME}-{number}", "third": 1 / 3, "flag": True}
    event.timestamp_unixtime_ms = 1700000000000 + number
    return event


def every_kind(user: str) -> mparticle.Batch:
    batch = mparticle.Batch()
    batch.environment = "development"
    identities = mparticle.UserIdentities()
    identities.customerid = user
    identities.email = f"{user}@example.com"
    batch.user_identities = identities
    device = mparticle.DeviceInformation()
    device.android_advertising_id = "a26f9736-c262-47ea-988b-0b0504cee874"
    batch.device_info = device
    batch.user_attributes = {"Account type": "trial", "names": ["ä", "☃", "😀"]}
    batch.mpid = 6008681217290486001
    product = mparticle.Product()
    product.id, product.name, product.price = "sku-1", "Example", 19.99
    action = mparticle.ProductAction("purchase")
    action.products, action.total_amount = [product], 21.49
    session_start, session_end = mparticle.SessionStartEvent(), mparticle.SessionEndEvent()
    session_start.session_id = session_end.session_id = 12345678
    session_end.session_duration_ms = 10000
    screen, commerce, opt_out = mparticle.ScreenViewEvent(), mparticle.CommerceEvent(action), mparticle.OptOutEvent()
    screen.screen_name = "Start"
    opt_out.is_opted_out = False
    app_event = mparticle.AppEvent("Hello \"World\" ☃\u0001", "navigation")
    batch.events = [tagged(event) for event in (session_start, app_event, screen, commerce, opt_out, session_end)]
    return batch


def main() -> None:
    configuration = mparticle.Configuration()
    configuration.ssl_ca_cert = os.environ.get("KF_CA")
    configuration.host, configuration.api_key, configuration.api_secret = BASE, KEY, SECRET
    api = mparticle.EventsApi(configuration)
    one, many = every_kind("python-user-0"), [every_kind(f"python-user-{i}") for i in range(1, 21)]
    for path, send, body in (("/events", api.upload_events, one), ("/bulkevents", api.bulk_upload_events, many)):
        answer = ""
        try:
            send(body)
            status = api.api_client.last_response.status
        except ApiException as error:
            status, answer = error.status, error.body
        sent = json.dumps(api.api_client.sanitize_for_serialization(body))
        print(json.dumps({"path": path, "body": sent, "status": status,
                          "answer": answer.decode() if isinstance(answer, bytes) else answer}))


if __name__ == "__main__":
    main()
