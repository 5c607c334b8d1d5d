// Command guest is the init of the driver's test guest. It announces itself on
// the ready port, obeys the power button, and carries out one order for each
// connection to port 22.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"banger/internal/agent/device"
	"banger/test/testguest"
)

func main() {
	if err := run(); err != nil {
		fmt.Println("guest:", err)
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}
}

func run() error {
	if err := testguest.Begin(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", ":22")
	if err != nil {
		return err
	}
	go serve(l)
	pressed, err := powerButton() // before the host knows that there is one to press
	if err != nil {
		return err
	}
	if err := announce("ready"); err != nil {
		return err
	}
	<-pressed
	if err := announce("off"); err != nil {
		return err
	}
	return end(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// announce writes a line, "ready" or "off", to the ready port.
func announce(what string) error {
	port, err := readyPort()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(port, "%s %s\n", what, bootID())
	return errors.Join(err, port.Close())
}

// readyPort opens the port, whose name the device may tell late.
func readyPort() (*os.File, error) {
	watcher, err := device.Watch()
	if err != nil {
		return nil, err
	}
	defer watcher.Close()
	path, err := watcher.Wait(context.Background(), device.Port(os.DirFS("/sys"), testguest.ReadyPort))
	if err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY, 0)
}

// powerButton returns what is sent to at each EV_KEY KEY_POWER, in the format of
// struct input_event with 64-bit times.
func powerButton() (<-chan struct{}, error) {
	devices, err := filepath.Glob("/dev/input/event*")
	if err != nil || len(devices) == 0 {
		return nil, errors.New("no power button")
	}
	pressed := make(chan struct{}, len(devices))
	for _, d := range devices {
		f, err := os.Open(d)
		if err != nil {
			return nil, err
		}
		go func() {
			event := make([]byte, 24)
			for {
				if _, err := io.ReadFull(f, event); err != nil {
					return
				}
				if binary.LittleEndian.Uint16(event[16:]) == 1 && binary.LittleEndian.Uint16(event[18:]) == 116 {
					pressed <- struct{}{}
				}
			}
		}()
	}
	return pressed, nil
}

// end takes the network down first: in Linux 6.1, virtio_net spins for ever when
// it is to send a packet after its device was shut down.
func end(how int) error {
	link, err := netlink.LinkByName(testguest.Interface)
	if err == nil {
		err = netlink.LinkSetDown(link)
	}
	if err != nil {
		return err
	}
	unix.Sync()
	return unix.Reboot(how)
}

func serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			fmt.Fprintf(conn, "guest %s\n", bootID())
			line, err := bufio.NewReader(conn).ReadString('\n')
			if err != nil {
				return
			}
			if err := obey(conn, strings.Fields(line)); err != nil {
				fmt.Fprintln(conn, "error:", err)
			}
		}()
	}
}

// obey carries out: disks | write SERIAL TEXT | print BYTES | ready BYTES |
// reboot.
func obey(w io.Writer, order []string) error {
	switch order[0] {
	case "disks":
		return disks(w)
	case "write":
		return writeDisk(order[1], order[2])
	case "print", "ready":
		n, err := strconv.Atoi(order[1])
		if err != nil {
			return err
		}
		err = flood(order[0], n)
		fmt.Fprintln(w, "done")
		return err
	case "reboot":
		fmt.Fprintln(w, "done")
		time.AfterFunc(100*time.Millisecond, func() { // when the answer is sent
			end(unix.LINUX_REBOOT_CMD_RESTART)
		})
		return nil
	}
	return fmt.Errorf("unknown order %q", order)
}

// disks tells serial, read-only flag and size of every disk, in their order.
func disks(w io.Writer) error {
	dirs, err := filepath.Glob("/sys/block/vd*")
	for _, dir := range dirs {
		for _, file := range []string{"serial", "ro", "size"} {
			data, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s ", bytes.TrimSpace(data))
		}
		fmt.Fprintln(w)
	}
	return err
}

// writeDisk writes text to the beginning of a disk and flushes it.
func writeDisk(serial, text string) error {
	files, err := filepath.Glob("/sys/block/vd*/serial")
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil || strings.TrimSpace(string(data)) != serial {
			continue
		}
		f, err := os.OpenFile("/dev/"+filepath.Base(filepath.Dir(file)), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		return errors.Join(err, f.Sync(), f.Close())
	}
	return errors.New("no such disk")
}

// flood writes n bytes to the console or to the ready port.
func flood(where string, n int) error {
	f, err := os.OpenFile("/dev/console", os.O_WRONLY, 0)
	if where == "ready" {
		f, err = readyPort()
	}
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(f, 32<<10) // each write leaves the guest, which takes its time
	line := strings.Repeat("x", 63) + "\n"
	for ; n > 0; n -= len(line) {
		if _, err := out.WriteString(line); err != nil {
			return err
		}
	}
	return errors.Join(out.Flush(), f.Close())
}
