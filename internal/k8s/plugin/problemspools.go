package plugin

import (
	"fmt"
	"math/big"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ofPools says which pools cannot serve, or soon cannot.
func (v *survey) ofPools() (list []Problem) {
	if v.lacks("IPAddressPools") {
		return nil
	}
	if len(v.s.Pools) == 0 {
		return []Problem{{SeverityWarning, "there is no IPAddressPool: no Service gets an address", "Make one, with addresses of your network.", "", rankPool}}
	}
	if len(v.s.Advertisements)+len(v.s.BGPAdvertisements) == 0 && !v.lacks("L2Advertisements") && !v.lacks("BGPAdvertisements") {
		list = append(list, Problem{SeverityWarning, "there is neither an L2Advertisement nor a BGPAdvertisement: nobody outside the cluster learns of an address",
			"Make one: without a spec it is for every pool.", "", rankPool})
	}
	nowhere := len(list) > 0
	for _, r := range Pools(v.s.Pools) {
		for _, f := range r.Wrong {
			if nowhere && f.Kind == v1alpha1.ConditionNotAdvertised {
				continue
			}
			list = append(list, Problem{faultSeverity(r, f), fmt.Sprintf("pool %s: %s: %s", r.Name, f.Kind, f.Sentence), "", "kubectl describe ipaddresspool " + r.Name, rankPool})
		}
		for _, u := range []*v1alpha1.PoolFamilyStatus{r.IPv4, r.IPv6} {
			if nearlyFull(u) {
				list = append(list, Problem{SeverityWarning, fmt.Sprintf("pool %s is nearly full: %s of %s addresses are free", r.Name, u.Available, u.Total),
					"Give it another range: kubectl fairlead plan tells what that does.", "kubectl fairlead pools", rankPool})
			}
		}
	}
	return list
}

// faultSeverity is how bad it is what stands in a pool's way.
func faultSeverity(r PoolRow, f Fault) Severity {
	used := r.IPv4 != nil && r.IPv4.Assigned > 0 || r.IPv6 != nil && r.IPv6.Assigned > 0
	switch f.Kind {
	case v1alpha1.ConditionExhausted, v1alpha1.ConditionAddressConflict, "Edited", "Empty", statusUndecided:
		return SeverityWarning // Services that want of it are listed for themselves
	case v1alpha1.ConditionNotAdvertised:
		if !used {
			return SeverityWarning
		}
	}
	return SeverityError
}

// nearlyFull tells whether less than a tenth of a pool is free, but something.
func nearlyFull(u *v1alpha1.PoolFamilyStatus) bool {
	if u == nil {
		return false
	}
	total, ok := new(big.Int).SetString(u.Total, 10)
	free, fine := new(big.Int).SetString(u.Available, 10)
	return ok && fine && free.Sign() > 0 && total.Cmp(big.NewInt(10)) >= 0 && new(big.Int).Mul(free, big.NewInt(10)).Cmp(total) < 0
}

// ofObjects says which other objects of Fairlead's are not in force, by their own conditions.
func (v *survey) ofObjects() (list []Problem) {
	say := func(kind, resource, name string, conditions []metav1.Condition) {
		if c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); c != nil && c.Status == metav1.ConditionFalse {
			list = append(list, Problem{SeverityWarning, fmt.Sprintf("%s %s: %s: %s", kind, name, c.Reason, c.Message), "", "kubectl describe " + resource + " " + name, rankObject})
		}
	}
	for _, o := range v.s.Advertisements {
		say("L2Advertisement", "l2advertisement", o.Name, o.Status.Conditions)
	}
	for _, o := range v.s.BGPAdvertisements {
		say("BGPAdvertisement", "bgpadvertisement", o.Name, o.Status.Conditions)
	}
	for _, o := range v.s.Profiles {
		say("BFDProfile", "bfdprofile", o.Name, o.Status.Conditions)
	}
	for _, o := range v.s.Communities {
		say("Community", "community", o.Name, o.Status.Conditions)
	}
	told := map[string]bool{} // by ofSessions
	for _, row := range v.peers {
		s := row.current()
		told[row.Peer] = told[row.Peer] || row.Node == "" || s == nil || s.State != v1alpha1.BGPSessionEstablished || s.Message != ""
	}
	for _, o := range v.s.Peers {
		if !told[o.Name] {
			say("BGPPeer", "bgppeer", o.Name, o.Status.Conditions)
		}
	}
	return list
}
