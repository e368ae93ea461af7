"""CPUs are numbered as Linux numbers those of an Intel server."""

from hypothesis import given
from hypothesis import strategies as st

from pseudokern.machine.topology import Topology

shapes = st.builds(
    lambda sockets, cores, threads, per_socket: Topology(
        sockets, cores * per_socket, threads, sockets * per_socket
    ),
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 2),
    st.integers(1, 2),
)


def test_second_threads_come_after_all_first_threads():
    server = Topology(sockets=2, cores=16, threads=2, nodes=2)

    assert server.siblings_mask(0) == 1 << 0 | 1 << 32
    assert server.siblings_mask(49) == 1 << 17 | 1 << 49
    assert server.core_siblings_mask(5) == 0x0000FFFF_0000FFFF
    assert server.node_mask(1) == 0xFFFF0000_FFFF0000
    assert (server.socket_of(17), server.core_of(17), server.thread_of(49)) == (1, 1, 1)


def test_apic_ids_leave_a_hole_where_the_cores_are_no_power_of_two():
    twelve = Topology(sockets=2, cores=6, nodes=2)
    assert [twelve.apic_id(cpu) for cpu in range(12)] == [0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13]


def test_socket_can_hold_two_nodes():
    board = Topology(sockets=1, cores=4, nodes=2)
    assert [board.node_of(cpu) for cpu in range(4)] == [0, 0, 1, 1]


def test_room_for_more_cpus_is_possible_but_not_present():
    board = Topology(cores=4, possible_cpus=6)

    assert board.nr_cpu_ids == 6
    assert (board.possible_mask, board.present_mask, board.online_mask) == (0x3F, 0xF, 0xF)
    assert board.socket_of(5) == 1
    assert board.siblings_mask(5) == 1 << 5


@given(shapes)
def test_siblings_sockets_and_nodes_each_divide_the_cpus(board):
    for mask_of in (board.siblings_mask, board.core_siblings_mask):
        masks = {mask_of(cpu) for cpu in range(board.nr_cpu_ids)}
        assert sum(masks) == board.possible_mask
        assert all(mask_of(cpu) >> cpu & 1 for cpu in range(board.nr_cpu_ids))
    nodes = [board.node_mask(node) for node in range(board.nodes)]
    assert sum(nodes) == board.possible_mask
    assert len({mask.bit_count() for mask in nodes}) == 1


@given(shapes)
def test_no_two_cpus_have_one_apic_id(board):
    apic_ids = {board.apic_id(cpu) for cpu in range(board.nr_cpu_ids)}
    assert len(apic_ids) == board.nr_cpu_ids


def test_hybrid_processor_is_numbered_core_by_core_and_its_efficient_cores_last():
    alder_lake = Topology(cores=4, threads=2, efficient_cores=8)
    cpus = range(alder_lake.nr_cpu_ids)

    assert alder_lake.efficient_mask == 0xFF00
    assert alder_lake.siblings_mask(3) == 0b1100
    assert alder_lake.siblings_mask(9) == 1 << 9
    assert alder_lake.core_siblings_mask(9) == 0xFFFF
    # As lscpu and /proc/cpuinfo show them on a Core i7-1260P.
    assert [alder_lake.core_of(cpu) for cpu in cpus] == [
        *(0, 0, 4, 4, 8, 8, 12, 12),
        *(16, 17, 18, 19, 20, 21, 22, 23),
    ]
    assert [alder_lake.apic_id(cpu) for cpu in cpus] == [
        *(0, 1, 8, 9, 16, 17, 24, 25),
        *(32, 34, 36, 38, 40, 42, 44, 46),
    ]


def test_dies_of_a_socket_have_the_same_number_of_cores():
    cascade_lake_ap = Topology(sockets=2, cores=4, threads=2, dies=2)
    assert [cascade_lake_ap.die_of(cpu) for cpu in range(8)] == [0, 0, 1, 1, 0, 0, 1, 1]
    assert cascade_lake_ap.die_mask(2) == 1 << 2 | 1 << 3 | 1 << 10 | 1 << 11
