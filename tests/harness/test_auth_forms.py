"""The forms of HTML pages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hil.auth.forms import forms

PAGE = """<!doctype html><form action="/elsewhere"><input name=q></form>
<FORM METHOD=Post ACTION='?a=1&amp;b=2'>
  <input type=hidden name="state" value="&lt;s&gt;"><input name=user><input type=password name=pw>
  <input type=checkbox name=stay value=1><input type=radio name=how value=a checked>
  <input type=radio name=how value=b><textarea name=why></textarea>
  <button name=consent value=yes>Yes</button><button name=consent value=no>No</button>
  <input value="nameless">
</FORM><input name=outside>"""


def test_a_form_is_filled_in_as_a_user_would() -> None:
    search, login = forms(PAGE)
    assert (search.method, search.action) == ("get", "/elsewhere")
    assert (login.method, login.action) == ("post", "?a=1&b=2")
    assert login.filled({"user": "ada", "pw": "x", "outside": "no"}) == {
        "state": "<s>",
        "user": "ada",
        "pw": "x",
        "how": "a",
        "why": "",
        "consent": "yes",
    }


@given(st.text() | st.text(alphabet="<>/=\"' form input name value a\n"))
def test_any_page_is_read(page: str) -> None:
    for form in forms(page):
        assert form.filled({}) == form.values
