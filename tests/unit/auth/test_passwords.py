"""Passwords cost what they should, known or not, and only a few are worked on at once."""

import asyncio
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from app.auth.passwords import (
    Passwords,
    WeakPassword,
    check_strength,
    temporary_password,
)

GOOD = "a quiet river runs"


def cheap(time_cost: int = 1) -> Passwords:
    return Passwords(PasswordHasher(time_cost=time_cost, memory_cost=8, parallelism=1))


async def test_a_password_is_known_again_and_no_other() -> None:
    passwords = cheap()
    stored = await passwords.hash(GOOD)
    assert GOOD not in stored
    assert stored != await passwords.hash(GOOD), "salted"
    assert await passwords.verify(GOOD, stored)
    for other in (GOOD + " ", GOOD.upper(), "", "\0", "\ud800", "x" * 100_000):
        assert not await passwords.verify(other, stored)


async def test_the_same_characters_from_another_keyboard_are_the_same() -> None:
    passwords = cheap()
    stored = await passwords.hash("u\u0308ber den Wolken")
    assert await passwords.verify("\u00fcber den Wolken", stored)


async def test_who_has_no_password_cannot_sign_in() -> None:
    passwords = cheap()
    for stored in (None, "", "plain", "$argon2id$v=19$broken"):
        assert not await passwords.verify(GOOD, stored)


async def test_the_costs_are_those_of_the_recommendation_and_above() -> None:
    parameters = extract_parameters(await Passwords().hash(GOOD))
    assert parameters.type is Type.ID
    assert parameters.memory_cost >= 47_104
    assert parameters.time_cost >= 1


async def test_a_hash_of_other_costs_is_checked_and_known_to_be_old() -> None:
    old, new = cheap(1), cheap(2)
    stored = await old.hash(GOOD)
    assert await new.verify(GOOD, stored)
    assert new.outdated(stored)
    assert not new.outdated(await new.hash(GOOD))


class CountingHasher(PasswordHasher):
    """Counts how many hashes are made at the same moment."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.now = self.most = self.verified = 0
        self.lock = threading.Lock()
        self.both = threading.Barrier(2)

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:
        with self.lock:
            self.now += 1
            self.verified += 1
            self.most = max(self.most, self.now)
        self.both.wait(timeout=30)  # two are at it, so a third would be seen
        try:
            return super().verify(hash, password)
        finally:
            with self.lock:
                self.now -= 1


async def test_two_are_checked_at_once_whether_the_user_is_known_or_not() -> None:
    hasher = CountingHasher()
    passwords = Passwords(hasher)
    stored = await passwords.hash(GOOD)
    known = [passwords.verify(GOOD, stored) for _ in range(4)]
    unknown = [passwords.verify(GOOD, None) for _ in range(4)]
    assert await asyncio.gather(*known, *unknown) == [True] * 4 + [False] * 4
    assert (hasher.most, hasher.verified) == (2, 8)


@pytest.mark.parametrize(
    "password",
    ["", "short", "x" * 12, "abababababab", "Password1234", "QWERTYUIOP123", "a" * 129, "å" * 129,
     "ann.smith@example.com", "Ann.Smith@Example.com", "123456789012"],
)  # fmt: skip
def test_what_is_tried_first_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        check_strength(password, email="ann.smith@example.com")


def test_the_part_before_the_at_is_refused_too() -> None:
    with pytest.raises(WeakPassword):
        check_strength("annabella.smith", email="annabella.smith@example.com")


@pytest.mark.parametrize(
    "password", [GOOD, "aaaabbbbccccd", "пароль из слов", "x7" * 6 + "yz", "1" * 11 + "é☃🙂"]
)
def test_there_are_no_rules_of_composition(password: str) -> None:
    check_strength(password, email="ann@example.com")


def test_a_temporary_password_is_accepted_and_nobodys() -> None:
    made = {temporary_password() for _ in range(50)}
    assert len(made) == 50
    for password in made:
        check_strength(password, email="ann@example.com")
