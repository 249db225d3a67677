"""The analytics page: what was asked, how well and how dearly it was answered."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import streamlit as st

from docent_client.analytics import CitedDocument, Comment, Day, ProviderUse, Totals, Unanswered
from docent_client.problems import ApiProblem
from streamlit_app import prose
from streamlit_app.config import load_config
from streamlit_app.render import PROVIDER_NAMES, show_problem
from streamlit_app.session import connect

PERIODS = {1: "Today", 7: "7 days", 30: "30 days", 90: "90 days"}


def show_analytics_page() -> None:
    """Draws the whole page once."""
    st.title("Analytics", anchor=False)
    days = st.segmented_control(
        "Period", list(PERIODS), default=7, format_func=PERIODS.__getitem__, required=True
    )
    try:
        with st.spinner("Counting …"):
            report = connect(load_config()).analytics(days or 7)
    except ApiProblem as problem:
        show_problem(problem)
        return
    if not report.totals.questions:
        st.info("Nothing was asked in this period.", icon=":material/bedtime:")
        return
    _show_totals(report.totals)
    if days == 1:
        st.caption("Charts compare days; choose a longer period to see them.")
    else:
        _show_days(report.days, days or 7)
    _show_providers(report.providers)
    _show_cited(report.cited)
    _show_unanswered(report.unanswered)
    _show_comments(report.comments)


def _show_totals(totals: Totals) -> None:
    questions = totals.questions
    figures = (
        ("Questions", f"{questions}"),
        ("Median time", _ms(totals.total_ms_p50)),
        ("95 % within", _ms(totals.total_ms_p95)),
        ("First word", _ms(totals.first_token_ms_p50)),
        ("Cost", f"${totals.cost_usd:.2f}"),
        ("From the cache", _share(totals.cached, questions)),
        ("Unanswered", _share(totals.abstained, questions)),
        ("Thumbs up", _share(totals.liked, totals.liked + totals.disliked)),
    )
    with st.container(horizontal=True):
        for label, value in figures:
            st.metric(label, value, border=True, width=163)


def _show_days(days: Sequence[Day], period: int) -> None:
    rows, asked = _every_day(days, period), [asdict(day) for day in days]
    st.header("Questions a day", anchor=False)
    st.bar_chart(
        rows,
        x="day",
        y=["answered", "unanswered"],
        sort=False,
        x_label="",
        y_label="questions",
        alt=f"Questions a day: {_spoken(asked, 'day', 'questions')}",
    )
    left, right = st.columns(2)
    with left:
        st.header("Latency", anchor=False)
        st.bar_chart(
            rows, x="day", y="total_ms_p50", x_label="", y_label="median, ms", sort=False,
            alt=f"Median milliseconds a day: {_spoken(asked, 'day', 'total_ms_p50')}",
        )  # fmt: skip
    with right:
        st.header("Cost", anchor=False)
        st.bar_chart(
            rows, x="day", y="cost_usd", x_label="", y_label="US dollars", sort=False,
            alt=f"US dollars a day: {_spoken(asked, 'day', 'cost_usd')}",
        )  # fmt: skip


def _every_day(days: Sequence[Day], period: int) -> list[dict[str, Any]]:
    """A row a day, of those without questions too, so that gaps show and a day is a thin bar."""
    today = datetime.now(UTC).date()
    past = ((today - timedelta(days=n)).isoformat() for n in range(period))
    every = {day: Day(day, 0, 0, 0, 0.0) for day in past} | {day.day: day for day in days}
    return [
        asdict(found) | {"day": day[5:], "unanswered": found.abstained}
        for day, found in sorted(every.items())
    ]


def _show_providers(providers: Sequence[ProviderUse]) -> None:
    st.header("Providers", anchor=False)
    rows = [
        {
            "Provider": PROVIDER_NAMES.get(row.provider, row.provider),
            "Attempts": row.attempts,
            "Succeeded": _share(row.succeeded, row.attempts),
            "Median time": _ms(row.ms_p50),
            "Cost": f"${row.cost_usd:.4f}" if row.cost_usd else "-",
        }
        for row in providers
    ]
    _table(rows, "Every answer of this period came from the cache, or none was needed.")


def _show_cited(cited: Sequence[CitedDocument]) -> None:
    st.header("Most cited documents", anchor=False)
    rows = [
        {"Document": row.title or row.document_id, "Answers that cite it": row.answers}
        for row in cited
    ]
    _table(rows, "No document was cited.")


def _show_unanswered(unanswered: Sequence[Unanswered]) -> None:
    st.header("Unanswered questions", anchor=False)
    rows = [
        {"Question": row.question, "Times": row.times, "Last": _day(row.last_asked_at)}
        for row in unanswered
    ]
    _table(rows, "Every question was answered.")


def _show_comments(comments: Sequence[Comment]) -> None:
    st.header("Comments", anchor=False)
    for row in comments:
        icon = "thumb_up" if row.score > 0 else "thumb_down"
        with st.container(border=True):
            st.caption(f":material/{icon}: {_day(row.said_at)} · {prose.plain(row.question)}")
            st.markdown(prose.plain(row.comment))
    if not comments:
        st.caption("Nobody left one.")


def _table(rows: list[dict[str, Any]], empty: str) -> None:
    """Cells are text to a table of data; nothing in them is taken for Markdown."""
    if rows:
        st.dataframe(rows, hide_index=True, width="stretch")
    else:
        st.caption(empty)


def _spoken(rows: Sequence[dict[str, Any]], *names: str) -> str:
    return "; ".join(" ".join(str(row[name]) for name in names) for row in rows)


def _ms(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"  # noqa: PLR2004


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


def _day(time: str) -> str:
    return str(time)[:10]
