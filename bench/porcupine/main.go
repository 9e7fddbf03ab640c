// Decides histories with Porcupine: porcupine numbers|strings INITIAL ROUNDS FILE...
//
// A file has one operation a line: {"k": key, "f": function, "a": int, "b": int, "s": string, "i": invoked, "r": returned}.
// It prints a line a file: the verdict (true, false), and the nanoseconds of the best of some rounds; at the end its
// greatest memory, as the kernel tells it.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/anishathalye/porcupine"
)

type call struct {
	K int    `json:"k"`
	F string `json:"f"`
	A int64  `json:"a"`
	B int64  `json:"b"`
	S string `json:"s"`
	I int64  `json:"i"`
	R int64  `json:"r"`
}

// never is when a call that nobody saw end returns.
const never = 1 << 62

func partition(history []porcupine.Operation) [][]porcupine.Operation {
	places := map[int]int{}
	var parts [][]porcupine.Operation
	for _, operation := range history {
		key := operation.Input.(call).K
		place, known := places[key]
		if !known {
			place = len(parts)
			places[key] = place
			parts = append(parts, nil)
		}
		parts[place] = append(parts[place], operation)
	}
	return parts
}

// numbers is a register of whole numbers.
func numbers(initial int64) porcupine.Model {
	return porcupine.Model{
		Partition: partition,
		Init:      func() interface{} { return initial },
		Step: func(state, input, _ interface{}) (bool, interface{}) {
			held, c := state.(int64), input.(call)
			switch c.F {
			case "read":
				return held == c.A, held
			case "write":
				return true, c.A
			case "cas":
				if c.R >= never && held != c.A { // nobody saw it end: it may never have happened
					return true, held
				}
				return held == c.A, c.B
			default: // a cas that failed
				return held != c.A, held
			}
		},
	}
}

// strings is a register that can be appended to.
var strings = porcupine.Model{
	Partition: partition,
	Init:      func() interface{} { return "" },
	Step: func(state, input, _ interface{}) (bool, interface{}) {
		held, c := state.(string), input.(call)
		switch c.F {
		case "read":
			return held == c.S, held
		case "write":
			return true, c.S
		default:
			return true, held + c.S
		}
	},
}

func load(path string) ([]porcupine.Operation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var history []porcupine.Operation
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<26)
	for lines.Scan() {
		var c call
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		history = append(history, porcupine.Operation{ClientId: len(history), Input: c, Call: c.I, Return: c.R})
	}
	return history, lines.Err()
}

func main() {
	initial, _ := strconv.ParseInt(os.Args[2], 10, 64)
	rounds, _ := strconv.Atoi(os.Args[3])
	model := numbers(initial)
	if os.Args[1] == "strings" {
		model = strings
	}
	for _, path := range os.Args[4:] {
		history, err := load(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		best, valid := time.Duration(1<<62), false
		for round := 0; round < rounds; round++ {
			began := time.Now()
			valid = porcupine.CheckOperations(model, history)
			if spent := time.Since(began); spent < best {
				best = spent
			}
		}
		fmt.Println(valid, best.Nanoseconds())
	}
	status, _ := os.ReadFile("/proc/self/status")
	peak := regexp.MustCompile(`VmHWM:\s+(\d+)`).FindSubmatch(status)
	fmt.Println("peak_kb", string(peak[1]))
}
