package lab

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// MoveClock moves the wall clock of this process alone, by whole seconds, and of its further runs; zero puts it
// back. Nothing else moves: not the monotonic clock, which no setting of a clock touches, not the clocks of other
// processes, and not the kernel's, by which it stamps files and packets.
//
// A Go program, and most others, reads the clock by a function that the kernel maps into each process, the vDSO's.
// Its first bytes are written over with a call of the kernel that adds to what it returns. The processor has to be
// an amd64, and the program has to ask by clock_gettime, as those of this lab do.
func (p *Process) MoveClock(by time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runningLocked() {
		if err := moveClock(p.command.Process.Pid, by); err != nil {
			return fmt.Errorf("moving the clock of %s by %s: %w", p.Name, by, err)
		}
	}
	p.clock = by
	return nil
}

// moveClock stops a process while its clock is moved.
func moveClock(pid int, by time.Duration) error {
	c, err := findClock(pid)
	if err != nil {
		return err
	}
	code, err := c.code(by)
	if err != nil {
		return err
	}
	// A thread that is reading the clock when it is stopped would go on in the middle of other code. That lasts
	// some nanoseconds: it is tried again.
	const tries = 100
	for range tries {
		away, err := stopAway(pid, c)
		if err == nil && away {
			err = c.write(pid, code)
		}
		if err = errors.Join(err, unix.Kill(pid, unix.SIGCONT)); err != nil || away {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("stopped %d times, it was reading a clock each time", tries)
}

// movedClock is the code of clock_gettime(clock in edi, result in rsi) for amd64.
func movedClock(by time.Duration) ([]byte, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("the code for it is for amd64, not for %s", runtime.GOARCH)
	}
	seconds := int64(by / time.Second)
	if by%time.Second != 0 || seconds != int64(int32(seconds)) {
		return nil, errors.New("whole seconds are possible, as many as 32 bits hold")
	}
	code := []byte{
		0xb8, 0xe4, 0, 0, 0, // mov eax, SYS_CLOCK_GETTIME (228)
		0x0f, 0x05, // syscall
		0x85, 0xff, // test edi, edi: CLOCK_REALTIME is 0
		0x75, 0x07, // jne to the ret
		0x48, 0x81, 0x06, 0, 0, 0, 0, // add qword ptr [rsi], seconds
		0xc3, // ret
	}
	for i := range 4 {
		code[14+i] = byte(seconds >> (8 * i))
	}
	return code, nil
}

// clockCode is where a process has clock_gettime: in its vDSO, from start to end, at start and an offset.
type clockCode struct {
	start, end uint64
	offset     uint64
	original   []byte // of the function
}

func findClock(pid int) (c clockCode, err error) {
	if c.start, c.end, err = findVDSO(pid); err != nil {
		return c, err
	}
	// The kernel gives each process the same vDSO. This one's own is as it was.
	start, end, err := findVDSO(os.Getpid())
	if err != nil {
		return c, err
	}
	text := make([]byte, end-start)
	if err := inMemory(os.Getpid(), func(m *os.File) error { _, err := m.ReadAt(text, int64(start)); return err }); err != nil {
		return c, fmt.Errorf("reading the vDSO: %w", err)
	}
	library, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		return c, fmt.Errorf("reading the vDSO: %w", err)
	}
	symbols, err := library.DynamicSymbols()
	if err != nil {
		return c, fmt.Errorf("reading the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" && s.Value+s.Size <= uint64(len(text)) {
			c.offset, c.original = s.Value, text[s.Value:s.Value+s.Size]
			return c, nil
		}
	}
	return c, errors.New("its vDSO has no clock_gettime")
}

// code is what is to stand there for a clock that is moved by so much.
func (c clockCode) code(by time.Duration) ([]byte, error) {
	if by == 0 {
		return c.original, nil
	}
	code, err := movedClock(by)
	if err == nil && len(code) > len(c.original) {
		err = fmt.Errorf("clock_gettime has %d bytes only", len(c.original))
	}
	return code, err
}

// write writes over the code. The page becomes the process's own by that: no other process sees the change.
func (c clockCode) write(pid int, code []byte) error {
	return inMemory(pid, func(m *os.File) error { _, err := m.WriteAt(code, int64(c.start+c.offset)); return err })
}

func inMemory(pid int, use func(*os.File) error) error {
	m, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(use(m), m.Close())
}

func findVDSO(pid int) (start, end uint64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			if _, err := fmt.Sscanf(line, "%x-%x", &start, &end); err != nil {
				return 0, 0, fmt.Errorf("reading where the vDSO is: %w", err)
			}
			return start, end, nil
		}
	}
	return 0, 0, errors.New("it has no vDSO")
}

// stopAway stops a process, and tells whether no thread is in its vDSO.
func stopAway(pid int, c clockCode) (bool, error) {
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		return false, err
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return false, err
	}
	for _, task := range tasks {
		at, err := standsAt(fmt.Sprintf("/proc/%d/task/%s", pid, task.Name()))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return false, err
		}
		if at >= c.start && at < c.end {
			return false, nil
		}
	}
	return true, nil
}

// standsAt waits until a thread is stopped, and reads where it will go on.
func standsAt(task string) (uint64, error) {
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(task + "/stat")
		if err != nil {
			return 0, err
		}
		// proc_pid_stat(5): the state is behind the name, which may hold blanks. t is stopped by a tracer.
		if state := stat[bytes.LastIndexByte(stat, ')')+2]; state == 'T' || state == 't' || state == 'Z' || state == 'X' {
			break
		}
		if time.Since(begin) > 5*time.Second {
			return 0, fmt.Errorf("waiting for %s to stop: %s", task, bytes.TrimSpace(stat))
		}
	}
	// proc_pid_syscall(5): the program counter is the last field, whether in a system call or not.
	text, err := os.ReadFile(task + "/syscall")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 3 {
		return 0, nil // it has ended
	}
	return strconv.ParseUint(fields[len(fields)-1], 0, 64)
}

// startMoved starts a command with a clock that is moved before its first instruction. It has to run on a thread of its
// own, which traces the command until then.
func startMoved(command *exec.Cmd, by time.Duration) (err error) {
	command.SysProcAttr.Ptrace = true
	if err := command.Start(); err != nil {
		return err
	}
	pid := command.Process.Pid
	defer func() { err = errors.Join(err, unix.PtraceDetach(pid)) }()
	if _, err := unix.Wait4(pid, nil, unix.WUNTRACED, nil); err != nil {
		return fmt.Errorf("waiting for it to be loaded: %w", err)
	}
	c, err := findClock(pid)
	if err != nil {
		return err
	}
	code, err := c.code(by)
	if err != nil {
		return err
	}
	return c.write(pid, code)
}
