"""Reads topics to their end as a member of a group, with the Avro deserializer of
confluent-kafka, and prints one line of JSON for each record. The order (brokers,
registry, group, topics) comes as JSON on standard input. Values are shown as text:
decimals with all their digits, bytes in hex, lists in JSON."""

import json
import sys
from decimal import Decimal, getcontext

from confluent_kafka import DeserializingConsumer, KafkaError
from confluent_kafka.error import ConsumeError
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def text(v):
    if v is None or isinstance(v, str):
        return v
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, Decimal):
        return format(v, "f")
    if isinstance(v, bytes):
        return v.hex()
    if isinstance(v, list):
        return json.dumps(v, separators=(",", ":"), ensure_ascii=False)
    if isinstance(v, dict):  # io.debezium.data.VariableScaleDecimal
        return format(Decimal(int.from_bytes(v["value"], "big", signed=True)).scaleb(-v["scale"]), "f")
    return repr(v)


def row(r):
    return None if r is None else {name: text(v) for name, v in r.items()}


def line(msg, keys):
    headers, seq = {}, None
    for name, value in msg.headers() or []:
        if name == "strait.seq":
            seq = int.from_bytes(value, "big")
        elif name.startswith("__debezium."):
            key = row(keys(value, SerializationContext(msg.topic(), MessageField.KEY)))
            headers[name] = " ".join(f"{n}={key[n]}" for n in sorted(key))
        else:
            headers[name] = value.decode()
    out = {"topic": msg.topic(), "partition": msg.partition(), "offset": msg.offset(),
           "key": row(msg.key()), "headers": headers, "seq": seq}
    value = msg.value()
    if value is not None:
        source = value["source"]
        snapshot = "false" if source["snapshot"] == "false" else "snapshot"
        out |= {"op": value["op"], "before": row(value["before"]), "after": row(value["after"]),
                "source": f"{source['name']} {source['table']} {snapshot}"}
    return out


def main():
    getcontext().prec = 1000
    order = json.load(sys.stdin)
    avro = AvroDeserializer(SchemaRegistryClient({"url": order["registry"]}))
    consumer = DeserializingConsumer({
        "bootstrap.servers": order["brokers"],
        "group.id": order["group"],
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "key.deserializer": avro,
        "value.deserializer": avro,
    })
    assigned, ended = set(), set()
    consumer.subscribe(order["topics"], on_assign=lambda _, parts: assigned.update((p.topic, p.partition) for p in parts))
    while not assigned or ended < assigned:
        try:
            msg = consumer.poll(1)
        except ConsumeError as e:
            if e.code != KafkaError._PARTITION_EOF:
                raise
            ended.add((e.kafka_message.topic(), e.kafka_message.partition()))
            continue
        if msg is not None:
            print(json.dumps(line(msg, avro)))
    consumer.commit(asynchronous=False)
    consumer.close()


main()
