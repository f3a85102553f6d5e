"""What a verifier's worker, which may have run anybody's code, sends to the trainer."""

from rethinker.rewards.wire import GarbledError, Inbox, decode_verdict, encode_verdict, pack
from rethinker.types import Outcome, Verdict

GOOD = encode_verdict(Verdict(outcome=Outcome.OK, reward=1.0, extracted="7", detail=""))
SEEDS = (
    pack({"state": "ready"}),
    pack({"index": 0, "verdict": GOOD}) + pack({"state": "loading"}),
    pack({"verdict": {"outcome": "wrong", "reward": "nan", "extracted": None, "detail": 1}}),
    b"\0\0\0\xff\0\0\0\0\0\0\0\1",
)


def check(data: bytes) -> None:
    inbox = Inbox()
    try:
        step = len(data) // 5 + 1  # cut anywhere
        for start in range(0, len(data), step):
            for message in inbox.feed(data[start : start + step]):
                record = message.get("verdict")
                if isinstance(record, dict):
                    assert isinstance(decode_verdict(record).outcome, Outcome)
    except GarbledError:
        return
