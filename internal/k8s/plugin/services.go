package plugin

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ServiceRow is a Service as `kubectl fairlead services` shows it.
type ServiceRow struct {
	Namespace string       `json:"namespace"`
	Name      string       `json:"name"`
	Addresses []AddressRow `json:"addresses"`
	// Status is the reason of the Service's condition, Assigned if it has what it asks for.
	Status  string `json:"status"`
	Message string `json:"message"`
	// Pending is true if it misses something that it asks for.
	Pending bool `json:"pending"`
}

// AddressRow is an address in a Service's status.
type AddressRow struct {
	Address string `json:"address"`
	// Pool is empty if no pool holds the address, or if another Service has it.
	Pool string `json:"pool,omitempty"`
	// Sharers is how many of the listed Services have the address.
	Sharers int `json:"sharers"`

	unpooled bool // since the pools could not be read
}

// statusUndecided is shown of a Service without a condition.
const statusUndecided = "Undecided"

// Services are the rows of the Services that are Fairlead's, sorted by namespace and name.
func Services(s *Snapshot) []ServiceRow {
	r := newReplay(s)
	sharers := r.sharers()
	rows := make([]ServiceRow, 0, len(r.order))
	for _, key := range r.order {
		d := r.decided[key]
		row := ServiceRow{Namespace: key.Namespace, Name: key.Name, Addresses: []AddressRow{}}
		for _, ingress := range d.service.Status.LoadBalancer.Ingress {
			address := AddressRow{Address: cmp.Or(ingress.IP, ingress.Hostname), Sharers: 1, unpooled: slices.Contains(s.Unread, "IPAddressPools")}
			if ip, err := lb.ParseAddr(ingress.IP); err == nil {
				if a, has := d.holding(ip); has {
					address.Pool, address.Sharers = a.Pool, sharers[ip]
				}
			}
			row.Addresses = append(row.Addresses, address)
		}
		row.Status, row.Message, row.Pending = statusUndecided, "no controller has decided on it yet", true
		if c := k8s.AssignedCondition(d.service); c != nil {
			row.Status, row.Message, row.Pending = c.Reason, c.Message, c.Status != metav1.ConditionTrue
		}
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(x, y ServiceRow) int {
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	return rows
}

// mayShare tells whether a Service of the snapshot has an address that Services which are not in it may have
// too.
func (s *Snapshot) mayShare() bool {
	return slices.ContainsFunc(s.ours(), func(svc *corev1.Service) bool {
		return k8s.SharingKey(svc) != "" && len(svc.Status.LoadBalancer.Ingress) > 0
	})
}

// ServicesIn returns the rows of a namespace, or of all for "".
func ServicesIn(rows []ServiceRow, namespace string) []ServiceRow {
	return slices.DeleteFunc(slices.Clone(rows), func(r ServiceRow) bool { return namespace != "" && r.Namespace != namespace })
}

// OnlyPending returns the rows that miss something.
func OnlyPending(rows []ServiceRow) []ServiceRow {
	return slices.DeleteFunc(slices.Clone(rows), func(r ServiceRow) bool { return !r.Pending })
}

// cells are the row of a table; the last one is the message.
func (r ServiceRow) cells(f Format) []string {
	var addresses, pools []string
	for _, a := range r.Addresses {
		text := a.Address
		if a.Sharers > 1 {
			text += fmt.Sprintf(" (shared by %d)", a.Sharers)
		}
		addresses = append(addresses, text)
		pool := cmp.Or(a.Pool, "(none)")
		if a.unpooled {
			pool = "?"
		}
		if !slices.Contains(pools, pool) {
			pools = append(pools, pool)
		}
	}
	message := r.Message
	if !r.Pending && !f.Wide {
		// It begins with the addresses and their pools, which are in the columns before.
		_, message, _ = strings.Cut(message, "; ")
	}
	return []string{r.Namespace, r.Name, cmp.Or(strings.Join(addresses, ","), "-"), cmp.Or(strings.Join(pools, ","), "-"), r.Status, message}
}

func servicesTable(rows []ServiceRow, f Format) *table {
	t := &table{header: []string{"NAMESPACE", "NAME", "ADDRESSES", "POOLS", "STATUS", "MESSAGE"},
		styles: map[int]func(string) style{4: stateStyle}, colour: f.Colour}
	for _, r := range rows {
		t.add(r.cells(f)...)
	}
	return t
}

// WriteServices prints a table. Where the terminal is too narrow for the messages they are beneath it, each
// once, since the first words of a reason are no answer.
func WriteServices(w io.Writer, rows []ServiceRow, f Format) error {
	if f.Wide {
		f.Width = 0
	}
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Namespace + "/" + r.Name
	}
	return servicesTable(rows, f).writeBeneath(w, f.Width, "Service", names)
}
