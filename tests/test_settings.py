"""Settings are read once; a value that cannot be right stops the start and is named."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from wms.settings import BadSetting, Settings


def read(tmp_path: Path, **values: str) -> Settings:
    return Settings.from_environment({"WMS_HOME": str(tmp_path), **{f"WMS_{k}": v for k, v in values.items()}})


def test_nothing_said_gives_a_service_that_starts(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path / 'wms.db'}" and settings.sqlite
    assert (settings.host, settings.http_port, settings.https_port, settings.tls) == ("0.0.0.0", 8080, 8443, "auto")
    assert len(settings.secret_key) >= 32


def test_what_is_said_is_taken(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        HTTP_PORT="9000",
        TLS="OFF",
        THREADS=" 8 ",
        TIMEZONE="Europe/London",
        DEBUG="1",
        PUBLIC_HOSTS="a.example, b.example,",
        PRINTER_NETWORKS="10.1.0.0/16, fd00::/8",
        BEHIND_TLS="1",
        DATABASE_URL="postgresql://u:p@h/d",
        SECRET_KEY="s" * 40,
        IDLE_MINUTES="5",
        WEIGHT_CODES="22iiiiiwwwwwc, 0223IIIVNNNNC",
        WAYBILL_PATTERNS="JD=JDK[0-9]{12}  XY=XY=[0-9]+",
        DECODE_BUDGET_MS="400",
    )
    assert (settings.http_port, settings.tls, settings.threads, settings.idle_minutes) == (9000, "off", 8, 5)
    assert (settings.debug, settings.behind_tls, settings.secret_key) == (True, True, "s" * 40)
    assert settings.decode_budget_ms == 400
    assert settings.public_hosts == ("a.example", "b.example")
    assert settings.weight_codes == ("22IIIIIWWWWWC", "0223IIIVNNNNC")
    assert settings.waybill_patterns == (("JD", "JDK[0-9]{12}"), ("XY", "XY=[0-9]+"))
    assert settings.printer_networks == ("10.1.0.0/16", "fd00::/8")
    assert settings.database_url == "postgresql+psycopg://u:p@h/d" and not settings.sqlite


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "0"),
        ("HTTP_PORT", "65536"),
        ("HTTP_PORT", "eighty"),
        ("HTTP_PORT", "-1"),
        ("HTTP_PORT", "80.5"),
        ("HTTP_PORT", "²"),
        ("HTTPS_PORT", "70000"),
        ("INNER_PORT", "x"),
        ("THREADS", "0"),
        ("THREADS", "9999"),
        ("TLS", "on"),
        ("TLS", "yes"),
        ("TIMEZONE", "Mars/Olympus"),
        ("TIMEZONE", "../../etc/passwd"),
        ("DATABASE_URL", "mysql://h/d"),
        ("DATABASE_URL", "wms.db"),
        ("IDLE_MINUTES", "0"),
        ("SHIFT_HOURS", "100"),
        ("CLAIM_IDLE_MINUTES", "soon"),
        ("KEEP_SCANS_DAYS", "6"),
        ("DECODE_BUDGET_MS", "0"),
        ("DECODE_BUDGET_MS", "forever"),
        ("PRINTER_NETWORKS", "10.0.0.0/99"),
        ("PRINTER_NETWORKS", "printers"),
        ("PRINTER_NETWORKS", "10.0.0.0/8,warehouse"),
        ("WEIGHT_CODES", "12IIIIIWWWWWC"),
        ("WEIGHT_CODES", "22IIIIIWWWWC"),
        ("WEIGHT_CODES", "22IIWIIIWWWWC"),
        ("WEIGHT_CODES", "22IIIIIWWWWWW"),
        ("WEIGHT_CODES", "2212345WWWWWC"),
        ("WEIGHT_CODES", "²2IIIIIWWWWWC"),
        ("WAYBILL_PATTERNS", "JDK[0-9]{12}"),
        ("WAYBILL_PATTERNS", "JD="),
        ("WAYBILL_PATTERNS", "JD=JDK[0-9"),
        ("DEBUG", "maybe"),
        ("BEHIND_TLS", "maybe"),
    ],
)
def test_a_value_that_cannot_be_right_stops_the_start_and_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=f"WMS_{name}"):
        read(tmp_path, **{name: value})


def test_the_password_of_a_database_is_not_in_the_complaint(tmp_path: Path) -> None:
    with pytest.raises(BadSetting) as refused:
        read(tmp_path, DATABASE_URL="mysql://user:hush@host/d")
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("word", ["1", "true", "yes", "TRUE", "on"])
def test_yes_is_understood_in_the_usual_words(tmp_path: Path, word: str) -> None:
    settings = read(tmp_path, DEBUG=word, BEHIND_TLS=word)
    assert settings.debug and settings.behind_tls


@pytest.mark.parametrize("word", ["0", "false", "no", "off", ""])
def test_no_is_understood_in_the_usual_words(tmp_path: Path, word: str) -> None:
    settings = read(tmp_path, DEBUG=word, BEHIND_TLS=word)
    assert not settings.debug and not settings.behind_tls


def test_the_secret_is_made_once_and_only_this_user_reads_it(tmp_path: Path) -> None:
    first, again = read(tmp_path).secret_key, read(tmp_path).secret_key
    assert first == again
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert read(tmp_path / "other").secret_key != first


def test_the_morning_mail_and_the_nights_address_are_off_until_set(tmp_path: Path) -> None:
    base = {"WMS_HOME": str(tmp_path), "WMS_SECRET_KEY": "k" * 40}
    quiet = Settings.from_environment(base)
    assert (quiet.mail_host, quiet.mail_to, quiet.night_url, quiet.night_days) == ("", (), "", 3)
    said = Settings.from_environment(
        {**base, "WMS_MAIL_HOST": "mail.example", "WMS_MAIL_TO": "a@example.com, b@example.com", "WMS_MAIL_TLS": "SSL"}
    )
    assert said.mail_to == ("a@example.com", "b@example.com") and said.mail_tls == "ssl"
    assert "a password" not in repr(Settings.from_environment({**base, "WMS_MAIL_PASSWORD": "a password"}))
    for name, bad in (
        ("MAIL_TO", "nobody"),
        ("MAIL_TLS", "yes"),
        ("MAIL_LANGUAGE", "de"),
        ("NIGHT_URL", "ftp://x"),
        ("NIGHT_DAYS", "0"),
    ):
        with pytest.raises(BadSetting, match=f"WMS_{name}"):
            Settings.from_environment({**base, f"WMS_{name}": bad})
