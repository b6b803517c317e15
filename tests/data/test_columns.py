import pytest

from quadgate.data.columns import Columns
from quadgate.errors import InputError


def test_columns_are_recognised_by_their_spelling():
    found = Columns().find(["Case", "TIME", "a", "Label", "Subject"], "t.csv")
    assert found == Columns("Case", "TIME", "Label", "Subject")
    assert Columns().find(["a", "b"], "t.csv") == Columns()


@pytest.mark.parametrize("names", [["T", "time"], ["time", "T"], ["T", "Time", "time"], ["step", "T", "time"]])
def test_the_plainest_name_is_the_time_whatever_stands_first(names):
    assert Columns().find(names, "t.csv").time == "time"
    assert Columns().find(["T", "t"], "t.csv").time == "t"


def test_a_named_column_is_not_recognised_for_something_else():
    assert Columns(case="subject").find(["subject", "a"], "t.csv") == Columns(case="subject")


def test_time_can_be_denied():
    assert Columns(time="none").find(["time", "a"], "t.csv").time == "none"


def test_a_wrong_name_is_met_with_the_nearest():
    with pytest.raises(InputError, match=r"t.csv: found no column 'subjct' for the group; did you mean 'subject'"):
        Columns(group="subjct").find(["subject", "a"], "t.csv")


def test_one_column_cannot_be_two_things():
    with pytest.raises(InputError, match="one column given for two things"):
        Columns(case="a", label="a").find(["a", "b"], "t.csv")


def test_two_columns_of_one_name_are_refused_in_a_long_table():
    with pytest.raises(InputError, match=r"t\.csv: found two columns named 'a', expected a name for each"):
        Columns().find(["case", "a", "a"], "t.csv")
    assert Columns().find(["a", "a"], "t.csv") == Columns()
