// A peer that is ttrpc's reference implementation: a server, a client that checks what a server does, a decoder of envelopes.
package main

import (
	"fmt"
	"os"
	"sort"
)

const usage = `usage: peer serve SOCKET
       peer checks
       peer check NAME SOCKET
       peer decode`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 1 && args[0] == "checks":
		for _, name := range checkNames() {
			fmt.Println(name)
		}
		return nil
	case len(args) == 3 && args[0] == "check":
		check, ok := checks[args[1]]
		if !ok {
			return fmt.Errorf("there is no check %s", args[1])
		}
		return withClient(args[2], check)
	case len(args) == 1 && args[0] == "decode":
		return decode(os.Stdin, os.Stdout)
	}
	return fmt.Errorf("%s", usage)
}

func checkNames() []string {
	names := []string{}
	for name := range checks {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
