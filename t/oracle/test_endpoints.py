# SPDX-License-Identifier: Apache-2.0
"""Endpoints and partitions: as botocore's rules have them where it knows the region, and as the newer
facts in regions.json everywhere."""
from __future__ import annotations

import itertools
import random
import re
import string

import botocore.session
import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError

SERVICES = ["kinesis", "firehose"]
VARIANTS = list(itertools.product([False, True], repeat=2))
ACCOUNT = "123456789012"


def by_facts(service: str, partition: dict, region: str, fips: bool, dual_stack: bool, arn: bool) -> str:
    suffix = partition["dualStackDnsSuffix" if dual_stack else "dnsSuffix"]
    if arn and partition["id"] not in ("aws-iso", "aws-iso-b"):
        return f"https://{ACCOUNT}.data-{service}{'-fips' if fips else ''}.{region}.{suffix}/"
    if service == "kinesis" and partition["id"] == "aws-us-gov" and not dual_stack:
        fips = False
    return f"https://{service}{'-fips' if fips else ''}.{region}.{suffix}/"


def test_every_region(ask, partitions) -> None:
    questions, wanted = [], []
    for partition in partitions:
        for region in partition["regions"]:
            for service, (fips, dual), arn in itertools.product(SERVICES, VARIANTS, [False, True]):
                if arn and service == "firehose":
                    continue
                question = {"ask": "endpoint", "service": service, "region": region, "fips": fips, "dual_stack": dual}
                if arn:
                    question["arn"] = f"arn:{partition['id']}:kinesis:{region}:{ACCOUNT}:stream/s"
                questions.append(question)
                wanted.append(by_facts(service, partition, region, fips, dual, arn))
    for question, want, got in zip(questions, wanted, ask(questions)):
        assert got.get("url") == want, question


@pytest.mark.parametrize("service", SERVICES)
def test_botocore_agrees(ask, partitions, service) -> None:
    loader = botocore.session.get_session().get_component("data_loader")
    known = loader.load_data("partitions")
    provider = EndpointProvider(loader.load_service_model(service, "endpoint-rule-set-1"), known)
    regions = {r for p in known["partitions"] for r in p["regions"] if not r.endswith("-global")}
    regions &= {r for p in partitions for r in p["regions"]}
    questions, wanted = [], []
    for region, (fips, dual) in itertools.product(sorted(regions), VARIANTS):
        try:
            url = provider.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual).url
        except EndpointProviderError:
            continue
        if service == "kinesis" and region.startswith("us-gov-") and fips and not dual:
            # Rules as old as botocore 1.29's differ from those of 1.43, which are followed.
            url = url.replace("kinesis-fips", "kinesis")
        questions.append({"ask": "endpoint", "service": service, "region": region, "fips": fips, "dual_stack": dual})
        wanted.append(url + "/")
    assert len(questions) > 80
    for question, want, got in zip(questions, wanted, ask(questions)):
        assert got.get("url") == want, question


def sts_by_facts(partition: dict, region: str, fips: bool, dual_stack: bool) -> str:
    plain = partition["id"] == "aws-us-gov" and not dual_stack
    suffix = partition["dualStackDnsSuffix" if dual_stack else "dnsSuffix"]
    return f"sts{'-fips' if fips and not plain else ''}.{region}.{suffix}"


def test_sts_in_every_region(ask, partitions) -> None:
    """As the facts have it, and as botocore has it where it knows the region."""
    loader = botocore.session.get_session().get_component("data_loader")
    known = loader.load_data("partitions")
    provider = EndpointProvider(loader.load_service_model("sts", "endpoint-rule-set-1"), known)
    old = {region for p in known["partitions"] for region in p["regions"]}
    questions, wanted, checked = [], [], 0
    for partition in partitions:
        for region, (fips, dual) in itertools.product(partition["regions"], VARIANTS):
            want = sts_by_facts(partition, region, fips, dual)
            try:
                url = provider.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual,
                                                UseGlobalEndpoint=False).url if region in old else None
            except EndpointProviderError:
                url = None
            if url:
                assert url == f"https://{want}"
                checked += 1
            # STS has no endpoints of accounts: one given is passed over.
            questions.append({"ask": "host", "service": "sts", "region": region, "fips": fips, "dual_stack": dual,
                              "account": ACCOUNT if fips else ""})
            wanted.append(want)
    assert checked > 80
    for question, want, got in zip(questions, wanted, ask(questions)):
        assert got["host"] == want, question
    assert ask([{"ask": "host", "service": "sts", "region": "nowhere", "account": ""}]) == [{"host": None}]


def test_the_facts_are_whole(partitions) -> None:
    """The table that the other tests go by has every partition, and no region is in two."""
    suffixes = {"aws": "amazonaws.com", "aws-cn": "amazonaws.com.cn", "aws-eusc": "amazonaws.eu", "aws-iso": "c2s.ic.gov",
                "aws-iso-b": "sc2s.sgov.gov", "aws-iso-e": "cloud.adc-e.uk", "aws-iso-f": "csp.hci.ic.gov",
                "aws-us-gov": "amazonaws.com"}
    assert {p["id"]: p["dnsSuffix"] for p in partitions} == suffixes
    regions = [region for p in partitions for region in p["regions"]]
    assert len(regions) == len(set(regions)) >= 45 and {"sa-west-1", "me-west-1", "eusc-de-east-1"} <= set(regions)


def random_region(rng: random.Random, known: list[str]) -> str:
    """A known region, or one that is nearly one."""
    region = list(rng.choice(known))
    for _ in range(rng.randint(0, 3)):
        alphabet = string.ascii_letters + string.digits + "--__ .é"
        at = rng.randrange(len(region) + 1)
        change = rng.randrange(3)
        if change == 0:
            region.insert(at, rng.choice(alphabet))
        elif region and at < len(region):
            region[at : at + 1] = [] if change == 1 else [rng.choice(alphabet)]
    return "".join(region)


def test_partition_patterns(ask, partitions) -> None:
    rng = random.Random(20261122)
    known = [r for p in partitions for r in p["regions"]]
    # As the SDK in JavaScript means them: \w and \d are ASCII, $ is the end.
    patterns = [(p["id"], re.compile(p["regionRegex"].rstrip("$") + r"\Z", re.ASCII)) for p in partitions]
    regions = known + [random_region(rng, known) for _ in range(20000)]
    answers = ask([{"ask": "partition", "region": region} for region in regions])
    suffixes = {p["id"]: (p["dnsSuffix"], p["dualStackDnsSuffix"]) for p in partitions}
    matched = 0
    for region, got in zip(regions, answers):
        want = [name for name, pattern in patterns if pattern.match(region)]
        assert len(want) <= 1
        assert got["id"] == (want[0] if want else None), region
        if want:
            assert (got["dns"], got["dual_stack"]) == suffixes[want[0]]
            matched += 1
    assert 1000 < matched < len(regions) - 1000
