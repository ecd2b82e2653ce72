package plugin

import (
	"fmt"
	"maps"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
)

// ofControllers says whether somebody decides.
func (v *survey) ofControllers() (list []Problem) {
	in := &v.s.Installation
	pods, leader := in.of(componentController), in.leader(v.s.Time)
	var well, ill []*corev1.Pod
	for _, p := range pods {
		if podReady(p) {
			well = append(well, p)
		} else {
			ill = append(ill, p)
		}
	}
	without := "; nothing is assigned or changed, what is there goes on"
	logs := fmt.Sprintf("kubectl -n %s logs deployment/fairlead-controller", in.Namespace)
	switch {
	case leader != "" || in.lacks("Pods") && in.lacks("Leases"):
	case in.lacks("Pods"):
		list = append(list, Problem{SeverityError, "no controller leads, by the Lease " + in.Namespace + "/" + leaseName + without, "", logs, rankController})
	case len(pods) == 0 && !in.lacks("Leases"):
		return []Problem{{SeverityError, "there is no controller in namespace " + in.Namespace + without,
			"Install Fairlead, or name the namespace that it is in with --fairlead-namespace.", "", rankController}}
	case len(well) == 0 && len(pods) > 0:
		return []Problem{{SeverityError, fmt.Sprintf("no controller is ready%s: Pod %s: %s", without, ill[0].Name, ailment(ill[0])), "",
			fmt.Sprintf("kubectl -n %s describe pod %s", in.Namespace, ill[0].Name), rankController}}
	case in.elects() && !in.lacks("Leases"):
		list = append(list, Problem{SeverityError, "no controller leads, although " + verb(len(well), "one is", "some are") + " ready" + without, "", logs, rankController})
	}
	for _, p := range ill {
		list = append(list, Problem{SeverityWarning, fmt.Sprintf("%d of %s ready: Pod %s: %s", len(well), counting(len(pods), "controller is", "controllers are"), p.Name, ailment(p)),
			"", fmt.Sprintf("kubectl -n %s describe pod %s", in.Namespace, p.Name), rankController})
	}
	return list
}

// ofSpeakers says which nodes take no part although they are to: those that have a Speaker, or a Pod of one.
func (v *survey) ofSpeakers() (list []Problem) {
	if v.lacks("Speakers") {
		return nil
	}
	in := &v.s.Installation
	pods := map[string]*corev1.Pod{}
	for _, p := range in.of(componentSpeaker) {
		pods[p.Spec.NodeName] = p
	}
	if len(v.s.Speakers) == 0 && len(pods) == 0 {
		return []Problem{{SeverityError, "no speaker runs: no address is answered for or advertised",
			"Install Fairlead, or see why its DaemonSet has no Pods.", fmt.Sprintf("kubectl -n %s describe daemonset fairlead-speaker", in.Namespace), rankSpeaker}}
	}
	nodes := map[string]bool{}
	for name := range pods {
		nodes[name] = true
	}
	for name := range v.g.speakers {
		nodes[name] = nodes[name] || v.g.nodes[name] != nil || v.lacks("Nodes")
	}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		exists, pod := v.g.nodes[name] != nil || v.lacks("Nodes"), pods[name]
		why := absence(exists, v.g.speakers[name])
		if !nodes[name] || why == "" || name == "" && pod == nil {
			continue
		}
		p := Problem{SeverityError, "node " + name + ": " + why, "", fmt.Sprintf("kubectl -n %s get pods --field-selector spec.nodeName=%s", in.Namespace, name), rankSpeaker}
		if name == "" {
			p.What = "a speaker's Pod is on no node"
			p.Severity = SeverityWarning
		}
		if pod != nil && !podReady(pod) {
			p.What += fmt.Sprintf("; Pod %s: %s", pod.Name, ailment(pod))
			p.Command = fmt.Sprintf("kubectl -n %s describe pod %s", in.Namespace, pod.Name)
		}
		if n := v.g.nodes[name]; n != nil && !nodeReady(n) {
			p.What += "; the node is not Ready, says Kubernetes"
			p.Command = "kubectl describe node " + name
		}
		if n := v.g.stoodIn[name]; n > 0 {
			p.What += fmt.Sprintf("; other nodes answer for its %s meanwhile", counting(n, "address", "addresses"))
		}
		list = append(list, p)
	}
	return list
}

func nodeReady(n *corev1.Node) bool {
	return !slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue
	})
}

// versions are the speakers' versions, with their nodes.
func (v *survey) versions() map[string][]string {
	nodes := map[string][]string{}
	for name, sp := range v.g.speakers {
		if version := sp.Status.Version; version != "" {
			nodes[version] = append(nodes[version], name)
			slices.Sort(nodes[version])
		}
	}
	return nodes
}

func (v *survey) ofVersions() []Problem {
	nodes := v.versions()
	if len(nodes) < 2 {
		return nil
	}
	var texts []string
	for _, version := range slices.Sorted(maps.Keys(nodes)) {
		texts = append(texts, fmt.Sprintf("%s on %s", version, few("node", nodes[version])))
	}
	return []Problem{{SeverityWarning, "speakers of different versions run: " + enumerate(texts), "An upgrade is under way, or stuck.",
		fmt.Sprintf("kubectl -n %s rollout status daemonset/fairlead-speaker", v.s.Installation.Namespace), rankVersion}}
}

// ofGossip says which speakers that serve do not know of each other: two of them may answer for one address.
func (v *survey) ofGossip() (list []Problem) {
	serving := 0
	for _, sp := range v.s.Speakers {
		if ready(sp) {
			serving++
		}
	}
	var alone grouped
	var deaf grouped
	for _, name := range slices.Sorted(maps.Keys(v.g.speakers)) {
		sp := v.g.speakers[name]
		if g := sp.Status.Gossip; ready(sp) && g != nil && int(g.Members) < serving {
			alone.add(fmt.Sprintf("%d of %d", g.Members, serving), name)
		}
		if d := sp.Status.FailureDetection; ready(sp) && d != nil {
			for _, x := range d.Sessions {
				if x.State == v1alpha1.FailureDetectionDown && ready(v.g.speakers[x.Node]) {
					deaf.add(x.Node, name)
				}
			}
		}
	}
	for _, said := range alone.said {
		nodes := alone.of[said]
		list = append(list, Problem{SeverityError, fmt.Sprintf("%s %s only %s speakers by gossip", some(nodes), verb(len(nodes), "sees", "see"), said),
			"Let the nodes reach each other on port 7956, TCP and UDP, and have all speakers use one key (Secret fairlead-gossip).",
			fmt.Sprintf("kubectl -n %s logs daemonset/fairlead-speaker", v.s.Installation.Namespace), rankGossip})
	}
	for _, node := range deaf.said {
		list = append(list, Problem{SeverityWarning, fmt.Sprintf("%s is not heard by %s, which %s to notice its failure", node, some(deaf.of[node]), verb(len(deaf.of[node]), "is", "are")),
			"Let the nodes reach each other on UDP port 7957.", "kubectl get speaker " + deaf.of[node][0] + " -o yaml", rankGossip})
	}
	return list
}
