"""The network of a config in PyTorch: the benchmark's peer, and the reference of tests/golden."""
import torch


class RmsNorm(torch.nn.Module):
    """Over (C, H, W), weight and bias per channel: x rsqrt(mean(x^2) + eps) w + b."""

    def __init__(self, channels, eps):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(channels))
        self.bias = torch.nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x):
        scale = torch.rsqrt(x.square().mean(dim=(1, 2, 3), keepdim=True) + self.eps)
        return x * scale * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class Net(torch.nn.Sequential):
    """The network of a config (the JSON object of a checkpoint's metadata), as its users would
    write it. Modules are named as the tensors of a checkpoint are."""

    def __init__(self, config):
        super().__init__()
        model, channels, convs = config["model"], 1, 0
        for layer in model["layers"]:
            if "conv" in layer:
                convs += 1
                conv = torch.nn.Conv2d(channels, layer["conv"], layer["kernel"],
                                       padding=layer.get("pad", 0))
                channels = layer["conv"]
                self.add_module(f"conv{convs}", conv)
                norm = layer.get("norm")  # true: the model's; a name: its own
                norm = model["norm"] if norm is True else norm or "none"
                if norm != "none":
                    self.add_module(f"norm{convs}", self._norm(config, norm, channels))
                if layer.get("relu"):
                    self._append(torch.nn.ReLU(inplace=True))
            elif layer["pool"] == "max":
                self._append(torch.nn.MaxPool2d(layer["size"]))
                if layer.get("dropout") and model["dropout"]:
                    self._append(torch.nn.Dropout(model["dropout"]))
            else:
                self._append(torch.nn.AdaptiveAvgPool2d(1))
                self._append(torch.nn.Flatten())

    def _append(self, module):
        self.add_module(str(len(self)), module)

    @staticmethod
    def _norm(config, norm, channels):
        """Layer norm over (C, H, W) with weights per channel is group norm with one group."""
        model = config["model"]
        if norm == "rms":
            return RmsNorm(channels, model["eps"])
        if norm == "batch":
            return torch.nn.BatchNorm2d(channels, eps=model["eps"],
                                        momentum=config["train"]["norm_momentum"])
        groups = {"layer": 1, "instance": channels, "group": channels // model["group_size"]}
        return torch.nn.GroupNorm(groups[norm], channels, eps=model["eps"])

    def load(self, tensors):
        """Takes the weights and running values of a checkpoint: all of them, and no other."""
        own = {name: value for name, value in self.state_dict().items()
               if not name.endswith("num_batches_tracked")}
        if set(own) != set(tensors):
            raise ValueError(f"tensors differ: {sorted(set(own) ^ set(tensors))}")
        for name, value in own.items():
            if tuple(value.shape) != tensors[name].shape:
                raise ValueError(f"{name}: {tensors[name].shape}, must be {tuple(value.shape)}")
            value.copy_(torch.from_numpy(tensors[name].copy()))
        return self
