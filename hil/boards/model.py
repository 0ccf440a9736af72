"""What the harness has to know of a board model: the types of the board table.

Plain frozen dataclasses: a virtual board's process imports them and must start in tens of
milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UsbId = tuple[int, int]
"""Vendor and product id: ``(0x37C5, 0x1206)``."""

UsbMode = Literal["run", "bootloader", "recovery", "unknown"]
"""What a USB id says of the board: MicroPython runs, the bootloader waits for an image, the chip's
own ROM waits for one, or nothing certain."""

SerialRule = Literal["hex", "hex-or-st", "st", "hex-prefix", "bridge"]
"""How the USB serial number follows from ``machine.unique_id()``: see :mod:`hil.boards.serials`."""

BootloaderSerialRule = Literal["reversed-hex", "word-hex", "unknown"]
"""The same for the bootloader's serial number, which is another one."""

Network = Literal["lwip", "esp-idf", "winc1500"]

FlashMethod = Literal["openmv-dfu", "arduino-dfu", "imx", "esptool"]
"""What speaks to the bootloader: ``dfu-util`` (alternate settings by name, or with absolute
addresses), ``blhost``, or ``esptool``."""

BootloaderEntry = Literal["machine.bootloader", "1200-baud touch", "reset window", "by hand"]
"""How a board gets into its bootloader: a call in the REPL; opening and closing its port at 1200
baud; any reset, in the window of :attr:`Model.bootloader_on_reset_s`; or a jumper."""

CONNECTIONS: dict[Network, int] = {
    # MEMP_NUM_TCP_PCB of lwIP's opt.h, which neither extmod/lwip-include nor the ports override.
    "lwip": 5,
    # CONFIG_LWIP_MAX_SOCKETS is 10 by default, and one of them listens.
    "esp-idf": 9,
    # Seven TCP sockets (TCP_SOCK_MAX of its driver), and one of them listens.
    "winc1500": 6,
}
"""TCP connections that a network stack serves at once. Read in the sources, tried on no board."""


@dataclass(frozen=True)
class Port:
    """A MicroPython port: what all boards of one chip family share.

    :ivar name: ``stm32``, ``alif``, ``mimxrt``, ``esp32``
    :ivar epoch: year in which ``time.time()`` is 0; probe it with ``time.gmtime(0)[0]`` all the
        same, it has changed between releases
    :ivar unset_clock: Unix seconds that the RTC shows after a cold boot without a battery
    :ivar rtc_kept_on_reset: whether ``machine.reset()`` keeps the clock
    :ivar rtc_kept_on_power_loss: whether it survives without power
    :ivar rtc_weekday_range: Monday's and Sunday's number in the tuple of ``RTC().datetime()``
    :ivar rtc_weekday_stored: the weekday that is set goes into the hardware unchecked (0 is invalid
        there); else it is ignored and computed
    :ivar rtc_years: first and last year that the RTC can hold
    :ivar unique_id_bytes: length of ``machine.unique_id()``
    """

    name: str
    epoch: Literal[1970, 2000]
    unset_clock: int
    rtc_kept_on_reset: bool
    rtc_kept_on_power_loss: bool
    rtc_weekday_range: tuple[int, int]
    rtc_weekday_stored: bool
    rtc_years: tuple[int, int]
    unique_id_bytes: int


@dataclass(frozen=True)
class Partition:
    """A part of a board's flash that its bootloader can reach.

    :ivar name: as the bootloader calls it: ``FIRMWARE``
    :ivar alt: DFU alternate setting; None where the method has none
    :ivar address: where it begins, as the flashing tool takes it; None where the tool takes none
    :ivar size: bytes; None where no source tells
    :ivar never: why it is never written; empty: it may be
    """

    name: str
    alt: int | None = None
    address: int | None = None
    size: int | None = None
    never: str = ""


@dataclass(frozen=True)
class Model:
    """A board model as devices.yaml names it.

    :ivar key: the name in devices.yaml: ``openmv-n6``
    :ivar title: the name that people use
    :ivar target: the firmware's build target: ``OPENMV_N6``
    :ivar run_ids: USB ids while MicroPython runs, the usual one first
    :ivar bootloader_ids: USB ids in the bootloader that flashing uses
    :ivar recovery_ids: USB ids of the chip's own ROM loader; several models share one
    :ivar legacy_ids: USB ids of older firmware; several models share one
    :ivar foreign_ids: the same board under other firmware (Arduino sketches, stock loaders)
    :ivar manufacturer: USB manufacturer string
    :ivar product: USB product string; for display, never for matching
    :ivar serial_rule: how the USB serial number follows from the unique id
    :ivar bootloader_serial_rule: the same in the bootloader
    :ivar bootloader_on_reset_s: on every reset the board shows up as its bootloader for up to this
        many seconds before MicroPython's port appears; 0.0: it does not
    :ivar root: mount point of the internal flash, and working directory without an SD card
    :ivar card_root: where boot mounts an SD card, which then is the working directory and hides
        the flash's ``main.py``; None: boot mounts none
    :ivar skip_card_file: a file that makes boot ignore the card; None: there is no such file
    :ivar main_on_soft_reset: whether Ctrl-D on the friendly REPL starts ``main.py``
    :ivar frozen: packages in the firmware, not to be deployed
    :ivar network: network stack: ``lwip``, ``esp-idf``, or ``winc1500`` (a shield, no mDNS)
    :ivar default_hostname: of a board that nobody has named; all boards of a model share it
    :ivar flash_method: how it is flashed
    :ivar bootloader_entries: the ways into the bootloader, the gentlest first
    :ivar partitions: what the bootloader can reach, also what must never be written
    :ivar flashed_together: partitions of which one must not be flashed without the others
    :ivar uf2_family: the family id of its UF2 files, where its loader is a drive that takes them
    :ivar uf2_boards: what that drive's INFO_UF2.TXT may call the board (``Board-ID``)
    :ivar back_from_bootloader_s: seconds from the end of flashing to MicroPython's port, at most
    """

    key: str
    title: str
    target: str
    port: Port
    run_ids: tuple[UsbId, ...]
    bootloader_ids: tuple[UsbId, ...]
    recovery_ids: tuple[UsbId, ...]
    manufacturer: str
    product: str
    serial_rule: SerialRule
    bootloader_serial_rule: BootloaderSerialRule
    default_hostname: str
    legacy_ids: tuple[UsbId, ...] = ()
    foreign_ids: tuple[UsbId, ...] = ()
    bootloader_on_reset_s: float = 0.0
    root: str = "/flash"
    card_root: str | None = None
    skip_card_file: str | None = None
    main_on_soft_reset: bool = False
    frozen: tuple[str, ...] = ()
    network: Network = "lwip"
    flash_method: FlashMethod | None = None
    bootloader_entries: tuple[BootloaderEntry, ...] = ()
    partitions: tuple[Partition, ...] = ()
    flashed_together: tuple[str, ...] = ()
    uf2_family: int | None = None
    uf2_boards: tuple[str, ...] = ()
    back_from_bootloader_s: float = 10.0

    @property
    def epoch(self) -> Literal[1970, 2000]:
        """Year in which ``time.time()`` is 0."""
        return self.port.epoch

    @property
    def unset_clock(self) -> int:
        """Unix seconds that the RTC shows after a cold boot."""
        return self.port.unset_clock

    @property
    def rtc_kept_on_reset(self) -> bool:
        return self.port.rtc_kept_on_reset

    @property
    def rtc_kept_on_power_loss(self) -> bool:
        return self.port.rtc_kept_on_power_loss

    @property
    def rtc_weekday_range(self) -> tuple[int, int]:
        """Monday's and Sunday's number in the tuple of ``RTC().datetime()``."""
        return self.port.rtc_weekday_range

    @property
    def unique_id_bytes(self) -> int:
        """Length of ``machine.unique_id()``."""
        return self.port.unique_id_bytes

    @property
    def mdns(self) -> bool:
        """Whether the firmware answers for ``<hostname>.local``."""
        return self.network != "winc1500"

    @property
    def connections(self) -> int:
        """TCP connections that the bench may have open at once, one place left to somebody else."""
        return CONNECTIONS[self.network] - 1

    def partition(self, name: str) -> Partition:
        """The partition that the bootloader calls ``name``.

        :raises KeyError: it has none of this name
        """
        for partition in self.partitions:
            if partition.name == name:
                return partition
        raise KeyError(name)

    @property
    def identified_by_usb(self) -> bool:
        """Whether USB ids tell the model; a UART bridge tells only itself."""
        return self.serial_rule != "bridge"
