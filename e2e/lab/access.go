package lab

import (
	"fmt"
	"net"
	"strconv"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// server is where the API server is found on the segment.
func (l *Lab) server() string {
	return "https://" + net.JoinHostPort(l.CP.V4.String(), strconv.Itoa(apiServerPort))
}

// RESTConfig is administrator's access, dialled from the cp host. Client-side rate limits are off.
func (l *Lab) RESTConfig() *rest.Config { return l.restConfig(l.CP, l.admin) }

// restConfig is access from a host with a certificate.
func (l *Lab) restConfig(from *Host, who identity) *rest.Config {
	return &rest.Config{
		Host:           l.server(),
		Dial:           from.DialContext,
		QPS:            -1,
		UserAgent:      "fairlead-lab",
		WarningHandler: rest.NoWarnings{},
		TLSClientConfig: rest.TLSClientConfig{
			CAData: l.authority.pem, CertData: who.certificate, KeyData: who.key,
		},
	}
}

// kubeconfig writes a kubeconfig file for a process on a host of the lab.
func (l *Lab) kubeconfig(file, user string, auth *clientcmdapi.AuthInfo) (string, error) {
	return l.writeKubeconfig(l.path(file), l.server(), user, auth)
}

// WriteKubeconfig writes administrator's access for the machine that the lab runs on, outside its namespaces.
// It works while the lab runs.
func (l *Lab) WriteKubeconfig(path string) error {
	if l.relay == nil {
		return fmt.Errorf("writing %s: the lab has no listener outside", path)
	}
	_, err := l.writeKubeconfig(path, "https://"+l.relay.address(), "admin", certificateAuth(l.admin))
	return err
}

func (l *Lab) writeKubeconfig(path, server, user string, auth *clientcmdapi.AuthInfo) (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters["lab"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: l.authority.pem}
	config.AuthInfos[user] = auth
	config.Contexts["lab"] = &clientcmdapi.Context{Cluster: "lab", AuthInfo: user}
	config.CurrentContext = "lab"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("writing the kubeconfig of %s: %w", user, err)
	}
	return path, nil
}

func certificateAuth(who identity) *clientcmdapi.AuthInfo {
	return &clientcmdapi.AuthInfo{ClientCertificateData: who.certificate, ClientKeyData: who.key}
}

func tokenAuth(token string) *clientcmdapi.AuthInfo { return &clientcmdapi.AuthInfo{Token: token} }

// WriteKubeconfigInside writes administrator's access for programs on the lab's hosts.
func (l *Lab) WriteKubeconfigInside(path string) error {
	_, err := l.writeKubeconfig(path, l.server(), "admin", certificateAuth(l.admin))
	return err
}
