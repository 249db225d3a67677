from docent_client.schemas import Citation, PageText
from streamlit_app.viewer import locate
from tests.unit.streamlit_app import canned


def cite(**changes: object) -> Citation:
    return Citation.from_json(canned.citation(canned.GUIDE, 39, canned.RESET_QUOTE) | changes)


def test_offsets_that_fit_are_used() -> None:
    page = PageText(39, canned.RESET_PAGE)
    start = canned.RESET_PAGE.index(canned.RESET_QUOTE)
    assert locate(page, cite()) == (start, start + len(canned.RESET_QUOTE))


def test_offsets_that_do_not_fit_give_way_to_the_quote_itself() -> None:
    page = PageText(39, "new line\n" + canned.RESET_PAGE)
    found = locate(page, cite())
    assert found is not None
    assert page.text[slice(*found)] == canned.RESET_QUOTE


def test_a_quote_that_is_gone_is_not_pretended() -> None:
    assert locate(PageText(39, "something else"), cite()) is None
    assert locate(PageText(39, "abc"), cite(quote="", start=1, end=1)) is None
