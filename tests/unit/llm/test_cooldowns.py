from datetime import datetime

from app.llm.cooldowns import Cooldowns


async def test_a_cooldown_runs_out():
    now = 0.0
    cooldowns = Cooldowns(lambda: now)
    assert cooldowns.until("a") is None
    await cooldowns.start("a", 30)
    assert await cooldowns.remaining_s("a") == 30
    assert await cooldowns.remaining_s("b") == 0
    assert datetime.fromisoformat(cooldowns.until("a")).tzinfo is not None
    now = 31.0
    assert await cooldowns.remaining_s("a") == 0
    assert cooldowns.until("a") is None
