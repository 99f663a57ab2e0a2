"""Seeded data sets that look like exports: ``orders`` (homogeneous) and ``single`` (single-table design).

``python -m benchmarks.data_sets orders --mebibytes 100 --to orders.json.gz`` writes one data file of a full
export with about that many MiB of uncompressed JSON. The same seed writes the same bytes.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WORDS = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "haven",
    "inlet",
    "jetty",
    "knoll",
    "ledge",
    "maple",
    "north",
    "ocean",
    "plume",
    "quartz",
    "ridge",
    "stone",
    "tidal",
    "umber",
    "vista",
    "willow",
    "xenon",
    "yonder",
    "zephyr",
    "Zürich",
    "naïve",
    "東京",
    "“quoted”",
]
STATUSES = ("PLACED", "PAID", "PACKED", "SHIPPED", "DELIVERED", "RETURNED")
CITIES = ("Berlin", "Lisboa", "Kraków", "São Paulo", "Osaka", "Denver", "Cape Town")

Item = dict[str, Any]


def orders(random_source: random.Random) -> Iterator[Item]:
    """Flat items with the same attributes: about 770 bytes each."""
    number = 0
    while True:
        number += 1
        yield _order(random_source, number)


def single(random_source: random.Random) -> Iterator[Item]:
    """Six kinds of entity under one key schema, with nesting, sets, binaries and a few conflicts of type."""
    kinds: tuple[Callable[[random.Random, int], Item], ...] = (_user, _cart, _event, _product, _session, _invoice)
    number = 0
    while True:
        number += 1
        item = random_source.choices(kinds, (10, 15, 40, 10, 15, 10))[0](random_source, number)
        if number % 1000 == 0:
            _dirty(random_source, item)
        yield item


def sparse(random_source: random.Random) -> Iterator[Item]:
    """Twelve of 3,000 attributes in each item: as many columns, hardly any of them filled."""
    number = 0
    while True:
        number += 1
        names = random_source.sample(range(3000), 12)
        values = {f"a{name:04}": {"N": str(name)} if name % 2 else {"S": f"v{name}"} for name in names}
        yield {"id": {"S": str(number)}, **values}


DATA_SETS: dict[str, Callable[[random.Random], Iterator[Item]]] = {"orders": orders, "single": single}
"""What speed is measured with."""

MORE_DATA_SETS: dict[str, Callable[[random.Random], Iterator[Item]]] = {**DATA_SETS, "sparse": sparse}
"""What memory is measured with."""


def write_data_file(name: str, destination: Path, mebibytes: int, seed: int = 1) -> int:
    """Write one data file.

    :param mebibytes: least uncompressed size.
    :returns: how many items it holds.
    """
    wanted = mebibytes << 20
    size = count = 0
    with gzip.GzipFile(destination, "wb", compresslevel=6, mtime=0) as output:
        for item in MORE_DATA_SETS[name](random.Random(seed)):
            line = json.dumps({"Item": item}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
            output.write(line)
            size += len(line)
            count += 1
            if size >= wanted:
                return count
    return count


def repeat_data_file(name: str, destination: Path, mebibytes: int, part_mebibytes: int) -> int:
    """Write a large data file quickly: one part, compressed once, as many gzip members.

    :param mebibytes: least uncompressed size of the whole.
    :param part_mebibytes: least uncompressed size of the part.
    :returns: uncompressed bytes.
    """
    write_data_file(name, destination, part_mebibytes)
    member = destination.read_bytes()
    part = len(gzip.decompress(member))
    repeats = (mebibytes << 20) // part + 1
    destination.write_bytes(member * repeats)
    return part * repeats


def _text(random_source: random.Random, words: int) -> str:
    return " ".join(random_source.choices(WORDS, k=words))


def _identifier(random_source: random.Random) -> str:
    return f"{random_source.getrandbits(128):032x}"


def _stamp(random_source: random.Random) -> str:
    day, second = random_source.randrange(1, 29), random_source.randrange(86_400)
    return (
        f"2026-{random_source.randrange(1, 13):02}-{day:02}T"
        f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{random_source.randrange(1000):03}Z"
    )


def _money(random_source: random.Random) -> str:
    text = f"{random_source.randrange(1_000_000) / 100:.2f}"
    return text.rstrip("0").rstrip(".")


def _order(random_source: random.Random, number: int) -> Item:
    customer = random_source.randrange(200_000)
    return {
        "order_id": {"S": _identifier(random_source)},
        "customer_id": {"S": f"C-{customer:08}"},
        "status": {"S": random_source.choice(STATUSES)},
        "amount": {"N": _money(random_source)},
        "tax": {"N": _money(random_source)},
        "quantity": {"N": str(random_source.randrange(1, 40))},
        "created_at": {"S": _stamp(random_source)},
        "updated_at": {"N": str(1_767_225_600_000 + random_source.randrange(31_536_000_000))},
        "currency": {"S": random_source.choice(("EUR", "USD", "JPY"))},
        "email": {"S": f"{random_source.choice(WORDS[:26])}.{customer}@example.com"},
        "city": {"S": random_source.choice(CITIES)},
        "street": {"S": f"{_text(random_source, 2)} {random_source.randrange(200)}"},
        "is_gift": {"BOOL": random_source.random() < 0.1},
        "note": {"S": _text(random_source, 20)},
        "version": {"N": str(number % 17)},
        "warehouse": {"S": f"W{random_source.randrange(12):02}"},
        "sku": {"S": f"SKU-{random_source.randrange(50_000):06}"},
        "tracking": {"S": _identifier(random_source)},
        "weight_kg": {"N": _money(random_source)},
        "expires_at": {"N": str(1_767_225_600 + random_source.randrange(31_536_000))},
    }


def _key(kind: str, number: int, item: Item) -> Item:
    return {"pk": {"S": f"{kind}#{number:09}"}, "sk": {"S": "META"}, "type": {"S": kind}, **item}


def _user(random_source: random.Random, number: int) -> Item:
    item = {
        "name": {"S": _text(random_source, 2)},
        "email": {"S": f"user{number}@example.com"},
        "roles": {"SS": random_source.sample(WORDS, 2)},
        "address": {
            "M": {
                "street": {"S": _text(random_source, 3)},
                "city": {"S": random_source.choice(CITIES)},
                "geo": {"L": [{"N": _money(random_source)}, {"N": _money(random_source)}]},
            }
        },
        "active": {"BOOL": random_source.random() < 0.9},
        "avatar": {"B": base64.b64encode(random_source.randbytes(48)).decode()},
    }
    if number % 3 == 0:
        item["deleted_at"] = {"NULL": True}
    return _key("USER", number, item)


def _cart(random_source: random.Random, number: int) -> Item:
    lines = [
        {
            "M": {
                "sku": {"S": f"SKU-{random_source.randrange(50_000):06}"},
                "price": {"N": _money(random_source)},
                "quantity": {"N": str(random_source.randrange(1, 9))},
                "gift": {"BOOL": random_source.random() < 0.1},
            }
        }
        for _ in range(random_source.randrange(1, 6))
    ]
    item = {
        "lines": {"L": lines},
        "total": {"N": _money(random_source)},
        "status": {"S": random_source.choice(STATUSES)},
        "created_at": {"S": _stamp(random_source)},
    }
    return _key("CART", number, item)


def _event(random_source: random.Random, number: int) -> Item:
    item = {
        "at": {"N": str(1_767_225_600_000 + random_source.randrange(31_536_000_000))},
        "name": {"S": random_source.choice(WORDS)},
        "source": {"S": f"/{_text(random_source, 2).replace(' ', '/')}"},
        "trace": {"S": _identifier(random_source)},
        "duration": {"N": _money(random_source)},
        "payload": {"M": {"status": {"N": "200"}, "path": {"S": _text(random_source, 3)}, "error": {"NULL": True}}},
    }
    return _key("EVENT", number, item)


def _product(random_source: random.Random, number: int) -> Item:
    item = {
        "name": {"S": _text(random_source, 3)},
        "price": {"N": _money(random_source)},
        "sizes": {"NS": [str(size) for size in random_source.sample(range(30, 60), 3)]},
        "description": {"S": _text(random_source, 25)},
        "attributes": {"M": {word: {"S": _text(random_source, 1)} for word in random_source.sample(WORDS, 3)}},
        "serial": {"N": str(random_source.randrange(10**25))},
    }
    return _key("PRODUCT", number, item)


def _session(random_source: random.Random, number: int) -> Item:
    item = {
        "token": {"B": base64.b64encode(random_source.randbytes(32)).decode()},
        "expires_at": {"N": str(1_767_225_600 + random_source.randrange(31_536_000))},
        "devices": {"BS": [base64.b64encode(random_source.randbytes(16)).decode() for _ in range(2)]},
        "ip": {"S": f"10.0.{random_source.randrange(256)}.{random_source.randrange(256)}"},
    }
    return _key("SESSION", number, item)


def _invoice(random_source: random.Random, number: int) -> Item:
    item = {
        "total": {"N": _money(random_source)},
        "created_at": {"S": _stamp(random_source)},
        "status": {"S": random_source.choice(STATUSES)},
        "history": {"L": [{"M": {"at": {"S": _stamp(random_source)}, "to": {"S": status}}} for status in STATUSES[:3]]},
        "seen_by": {"SS": [f"U{random_source.randrange(1000)}" for _ in range(2)]},
    }
    return _key("INVOICE", number, item)


def _dirty(random_source: random.Random, item: Item) -> None:
    name = random_source.choice([name for name in item if name not in ("pk", "sk", "type", "deleted_at")])
    item[name] = random_source.choice(({"S": "n/a"}, {"N": "0"}, {"NULL": True}, {"M": {"tags": {"SS": ["nested"]}}}))


def main() -> None:
    """Write one data file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(DATA_SETS))
    parser.add_argument("--mebibytes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    print(write_data_file(options.name, options.to, options.mebibytes, options.seed), "items")


if __name__ == "__main__":
    main()
