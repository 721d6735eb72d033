"""Readers that are not ours: what arrived, read back by boto3 from the stand-in, from kinesalite and from kinesis-local, and
out of the objects that moto's Firehose wrote into moto's S3."""
from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from httpd_server import HOST, KEY_ID, SECRET, Missing, Port, wait_until
from standin import StandIn

START_SECONDS = 90


def client(service: str, url: str) -> Any:
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", aws_access_key_id=KEY_ID,
                        aws_secret_access_key=SECRET, config=Config(retries={"max_attempts": 3}, proxies={}))


class Process:
    """A program of somebody else's that serves on a port."""

    def __init__(self, command: list[str], folder: Path, port: int, environment: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / "output.log"
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith("AWS_") and "proxy" not in name.lower()}
        with open(self._log, "wb") as output:
            self._process = subprocess.Popen(command, cwd=folder, env={**clean, **(environment or {})}, stdout=output,
                                             stderr=output, stdin=subprocess.DEVNULL)
        wait_until(lambda: self._process.poll() is not None or _listens(port), command[-1], START_SECONDS)
        if self._process.poll() is not None:
            raise Missing(f"{' '.join(command)} ended: {self._log.read_text(errors='replace')[-2000:]}")

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
        return True
    except OSError:
        return False


class KinesisReader:
    """Data streams somewhere, read by boto3 from the oldest record on."""

    service, lines = "streams", ()

    def __init__(self, name: str, url: str, streams: list[str], owner: Any, create: bool = True) -> None:
        self.name, self.url, self._owner, self._kinesis = name, url, owner, client("kinesis", url)
        for stream in streams if create else []:
            self._kinesis.create_stream(StreamName=stream, ShardCount=2)
        for stream in streams:
            wait_until(lambda s=stream: self._status(s) == "ACTIVE", f"{stream} of {name}", START_SECONDS)

    def _status(self, stream: str) -> str:
        return self._kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamStatus"]

    def read(self, stream: str) -> list[bytes]:
        found = []
        for shard in self._kinesis.list_shards(StreamName=stream)["Shards"]:
            iterator = self._kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"],
                                                        ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
            while True:
                answer = self._kinesis.get_records(ShardIterator=iterator, Limit=1000)
                found += [record["Data"] for record in answer["Records"]]
                if not answer["Records"]:
                    break
                iterator = answer["NextShardIterator"]
        return found

    def close(self) -> None:
        self._owner.close()


class LakeReader:
    """Firehose delivery streams of moto; a line of an object in its S3 is a record."""

    service, lines = "firehose", ("KinesisRecordDelimiter newline", )
    bucket = "lake"

    def __init__(self, name: str, url: str, streams: list[str], owner: Any) -> None:
        self.name, self.url, self._owner, self._s3 = name, url, owner, client("s3", url)
        self.objects = 0
        self._s3.create_bucket(Bucket=self.bucket)
        for stream in streams:
            client("firehose", url).create_delivery_stream(
                DeliveryStreamName=stream, DeliveryStreamType="DirectPut", ExtendedS3DestinationConfiguration={
                    "RoleARN": "arn:aws:iam::123456789012:role/lake", "BucketARN": f"arn:aws:s3:::{self.bucket}",
                    "Prefix": f"{stream}/"})

    def read(self, stream: str) -> list[bytes]:
        found, self.objects = [], 0
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{stream}/"):
            for entry in page.get("Contents", []):
                text = self._s3.get_object(Bucket=self.bucket, Key=entry["Key"])["Body"].read()
                assert text.endswith(b"\n"), f"{entry['Key']} has no line break at its end"
                found += text[:-1].split(b"\n")
                self.objects += 1
        for line in found:
            json.loads(line)
        return found

    def close(self) -> None:
        self._owner.close()


class _StandIn:
    def __init__(self, standin: StandIn) -> None:
        self.close = standin.stop


def start(name: str, installed: Path, work: Path, streams: list[str]) -> KinesisReader | LakeReader:
    """Starts one of NAMES with these streams; `installed` is where install.sh put the programs."""
    if name == "stand-in":
        standin = StandIn(streams={stream: 2 for stream in streams}).start()
        return KinesisReader(name, standin.url, streams, _StandIn(standin), create=False)
    modules, (port, second) = installed / "npm" / "node_modules", (Port(), Port())
    url = f"http://{HOST}:{port.number}"
    if name == "kinesalite":
        command = ["node", str(modules / "kinesalite" / "cli.js"), "--port", str(port.number), "--createStreamMs", "10",
                   "--shardLimit", "100"]
        return KinesisReader(name, url, streams, Process(command, work / name, port.number))
    if name == "kinesis-local":
        folder = modules / "kinesis-local"
        settings = {"KINESIS_MOCK_PLAIN_PORT": str(port.number), "KINESIS_MOCK_TLS_PORT": str(second.number),
                    "KINESIS_MOCK_CERT_PATH": str(folder / "server.json"), "CREATE_STREAM_DURATION": "10ms",
                    "SHARD_LIMIT": "100", "LOG_LEVEL": "ERROR"}
        return KinesisReader(name, url, streams, Process(["node", str(folder / "main.js")], work / name, port.number, settings))
    command = [str(installed / "venv" / "bin" / "python"), "-m", "moto.server", "-H", HOST, "-p", str(port.number)]
    return LakeReader(name, url, streams, Process(command, work / "moto", port.number))


NAMES = ("stand-in", "kinesalite", "kinesis-local", "moto")
