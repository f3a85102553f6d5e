"""Secrets are taken out, all else is left as it was."""

import pytest

from rethinker.redaction import redacted


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("cannot reach https://me:pa@ss@host:8/v1 now", "cannot reach https://***@host:8/v1 now"),
        ("http://token@host", "http://***@host"),
        ("http://host/a@b?c=d@e", "http://host/a@b?c=d@e"),
        ("mail me@host", "mail me@host"),
        ("key hf_abcdefgh, twice hf_abcdefgh", "key ***, twice ***"),
        (
            "sent Authorization: Basic c29tZWJvZHk6cGFzcw==, Bearer of news",
            "sent Authorization: Basic ***, Bearer of news",
        ),
        ("the proxy's pass word", "the proxy's pass word"),
        ("through p%40ssword or p@ssword", "through *** or ***"),
        ("/home/me/key.pem, monkeybusiness, short", "/home/me/key.pem, monkeybusiness, short"),
    ],
)
def test_secrets_go_and_nothing_else(text: str, left: str) -> None:
    environment = {
        "HF_TOKEN": " hf_abcdefgh\n",
        "https_proxy": "http://me:p%40ssword@proxy:3128",
        "SSL_KEY": "/home/me/key.pem",  # where a secret lies is none
        "MONKEY": "monkeybusiness",
        "API_KEY": "short",
    }
    assert redacted(text, environment) == left
