package script

// Level is how well scripts are shut in.
type Level string

// The levels, best first.
const (
	// Namespaces: own user, mount, network, pid, ipc and uts namespaces, a file
	// system of its own, Landlock where the kernel has it, and a filter of system calls.
	Namespaces Level = "namespaces"
	// Landlock: the host's namespaces; files by an allow-list, and a filter of system calls.
	Landlock Level = "landlock"
	// None: a filter of system calls and limits only. Refused unless allowed.
	None Level = "none"
)

// Valid reports whether l is one of the levels.
func (l Level) Valid() bool { return l == Namespaces || l == Landlock || l == None }

// Sentence says to people what the level means.
func (l Level) Sentence() string {
	switch l {
	case Namespaces:
		return "scripts run in namespaces of their own, with a read-only file system, without network, and with few system calls"
	case Landlock:
		return "scripts see the host's namespaces, but Landlock keeps them from its files and the system call filter from network and processes"
	case None:
		return "scripts are NOT kept from the host's files: only network, processes and memory are limited"
	default:
		return "scripts are refused"
	}
}
