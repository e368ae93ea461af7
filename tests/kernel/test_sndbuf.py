"""SO_SNDBUF: who has too much under way waits until half of it has left."""

from pseudokern.kernel.sndbuf import SendBuffer
from pseudokern.kernel.udp import truesize

FRAME = 1500
EACH = truesize(FRAME)


def filled(packets):
    calls = []
    buffer = SendBuffer(packets * EACH, lambda: calls.append("space"))
    for _ in range(packets):
        assert buffer.has_room()
        buffer.charge(FRAME)
    return buffer, calls


def test_a_buffer_takes_packets_until_it_is_full():
    buffer, _ = filled(4)
    assert not buffer.has_room()


def test_who_waits_goes_on_when_half_of_it_is_free():
    buffer, calls = filled(4)
    assert not buffer.has_room()
    buffer.free(FRAME)
    assert calls == []
    buffer.free(FRAME)
    assert calls == ["space"]
    buffer.free(FRAME)
    assert calls == ["space"]


def test_nobody_is_called_who_does_not_wait():
    buffer, calls = filled(4)
    for _ in range(4):
        buffer.free(FRAME)
    assert calls == []
