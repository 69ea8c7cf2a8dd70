"""Which names are those of secrets."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from newsstand.analysis.secret_names import Naming, is_secret_name


@pytest.mark.parametrize(
    "name",
    [
        *("password", "passwd", "pwd", "secret", "token", "credential", "api-key", "otp", "pin", "passphrase"),
        *(
            "Password",
            "PASSWD",
            "API_KEY",
            "apiKey",
            "APIKey",
            "userPassword",
            "access-token",
            "accessToken",
            "DBPasswd",
        ),
        *("client_secret", "credentials", "tokens", "pin2", "otp.code", "private-key", "privateKey", "roomsecret"),
        *(
            "x-auth-token",
            "pass",
            "Passwort",
            "pa\u0301ssword",
            "\uff50\uff41\uff53\uff53\uff57\uff44",
            "pass\u00adword",
        ),
        *("x" * 10_000 + "-password", "password-" + "x" * 10_000),
    ],
)
def test_a_name_of_which_a_part_is_a_word_for_a_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "title", "passage", "compass", "pinned", "spin", "opinion", "tokenize", "secretary", "secretion"),
        *("key", "keys", "monkey", "api", "passport", "passenger", "cookies", "bypass", "x" * 10_000),
    ],
)
def test_a_name_of_which_none_is(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "source",
    [
        "<password/>",
        "<password xmlns='urn:x'/>",
        "<field var='password'/>",
        "<field var='muc#roomconfig_roomsecret' type='text-private'/>",
        "<field var='x' type='text-private'/>",
        "<input type='password'/>",
        "<entry key='api-key'/>",
        "<property name='accessToken'/>",
    ],
)
def test_an_element_holds_a_secret_by_its_name_or_by_what_an_attribute_says_it_is(source: str) -> None:
    assert Naming().is_secret(ET.fromstring(source))


@pytest.mark.parametrize(
    "source",
    [
        "<note/>",
        "<note xmlns='urn:password'/>",
        "<note label='password'/>",
        "<note name='The secret garden'/>",
        "<note id='secret-garden'/>",
        "<note title='token'/>",
        "<item id='token'/>",
        "<field var='title' type='text-single'/>",
    ],
)
def test_a_text_about_secrets_is_none(source: str) -> None:
    assert not Naming().is_secret(ET.fromstring(source))
