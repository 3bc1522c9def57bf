/** The Python text of a network: what stays the same for every genotype, in PyTorch with the names of DARTS. */
import type { NetworkKind } from '../spaces/darts/stem.ts'

/** From the imports to the cell. */
export const operationsSource = `class ReLUConvBN(nn.Module):
    """Prepares a cell's input: [n, C_in, h, w] -> [n, C_out, h, w]."""

    def __init__(self, C_in, C_out):
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(C_in, C_out, 1, bias=False),
            nn.BatchNorm2d(C_out),
        )

    def forward(self, x):
        return self.op(x)


class FactorizedReduce(nn.Module):
    """Halves height and width: two 1x1 convolutions of stride 2, the second one pixel further, side by side."""

    def __init__(self, C_in, C_out):
        super().__init__()
        self.conv_1 = nn.Conv2d(C_in, C_out // 2, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(C_in, C_out - C_out // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(C_out)

    def forward(self, x):
        x = torch.relu(x)
        return self.bn(torch.cat([self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])], dim=1))


def depthwise_separable(C, kernel_size, stride, dilation):
    """ReLU, one filter for each channel, a 1x1 convolution across channels, batch norm."""
    padding = dilation * (kernel_size - 1) // 2
    return [
        nn.ReLU(),
        nn.Conv2d(C, C, kernel_size, stride, padding, dilation, groups=C, bias=False),
        nn.Conv2d(C, C, 1, bias=False),
        nn.BatchNorm2d(C),
    ]


class SepConv(nn.Module):
    """A separable convolution, applied twice."""

    def __init__(self, C, kernel_size, stride):
        super().__init__()
        self.op = nn.Sequential(
            *depthwise_separable(C, kernel_size, stride, dilation=1),
            *depthwise_separable(C, kernel_size, stride=1, dilation=1),
        )

    def forward(self, x):
        return self.op(x)


class DilConv(nn.Module):
    """A separable convolution over every second pixel."""

    def __init__(self, C, kernel_size, stride):
        super().__init__()
        self.op = nn.Sequential(*depthwise_separable(C, kernel_size, stride, dilation=2))

    def forward(self, x):
        return self.op(x)


class Identity(nn.Module):
    def forward(self, x):
        return x


OPS = {
    "max_pool_3x3": lambda C, stride: nn.MaxPool2d(3, stride, padding=1),
    "avg_pool_3x3": lambda C, stride: nn.AvgPool2d(3, stride, padding=1, count_include_pad=False),
    "skip_connect": lambda C, stride: Identity() if stride == 1 else FactorizedReduce(C, C),
    "sep_conv_3x3": lambda C, stride: SepConv(C, 3, stride),
    "sep_conv_5x5": lambda C, stride: SepConv(C, 5, stride),
    "dil_conv_3x3": lambda C, stride: DilConv(C, 3, stride),
    "dil_conv_5x5": lambda C, stride: DilConv(C, 5, stride),
}


class Cell(nn.Module):
    """Each node adds up two operations on earlier states; the output is some of the nodes side by side."""

    def __init__(self, genotype, C_prev_prev, C_prev, C, reduction, reduction_prev):
        super().__init__()
        self.preprocess0 = (FactorizedReduce if reduction_prev else ReLUConvBN)(C_prev_prev, C)
        self.preprocess1 = ReLUConvBN(C_prev, C)
        edges = genotype.reduce if reduction else genotype.normal
        self.inputs = [state for _, state in edges]
        self.concat = genotype.reduce_concat if reduction else genotype.normal_concat
        # only the cell's own inputs are halved, not what its nodes make of them
        self._ops = nn.ModuleList(
            OPS[name](C, stride=2 if reduction and state < 2 else 1) for name, state in edges
        )

    def forward(self, s0, s1):
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for first in range(0, len(self._ops), 2):
            a, b = (self._ops[e](states[self.inputs[e]]) for e in (first, first + 1))
            states.append(a + b)
        return torch.cat([states[i] for i in self.concat], dim=1)


def stack_cells(genotype, C_prev, C, layers, reduction_prev):
    """The cells, and how many channels the last one gives. At a third and at two thirds of the way a reduction cell
    doubles the channels and halves height and width."""
    cells = nn.ModuleList()
    C_prev_prev = C_prev
    for i in range(layers):
        reduction = i in (layers // 3, 2 * layers // 3)
        C = 2 * C if reduction else C
        cell = Cell(genotype, C_prev_prev, C_prev, C, reduction, reduction_prev)
        cells.append(cell)
        C_prev_prev, C_prev, reduction_prev = C_prev, len(cell.concat) * C, reduction
    return cells, C_prev
`

const cifarSource = `class NetworkCIFAR(nn.Module):
    """Images [n, 3, h, w] -> logits [n, num_classes]."""

    def __init__(self, genotype=GENOTYPE, C=CHANNELS, layers=LAYERS, num_classes=NUM_CLASSES):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 3 * C, 3, padding=1, bias=False),
            nn.BatchNorm2d(3 * C),
        )
        self.cells, C_last = stack_cells(genotype, 3 * C, C, layers, reduction_prev=False)
        self.classifier = nn.Linear(C_last, num_classes)

    def forward(self, images):
        s0 = s1 = self.stem(images)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        return self.classifier(s1.mean(dim=(2, 3)))
`

const imagenetSource = `class NetworkImageNet(nn.Module):
    """Images [n, 3, h, w] -> logits [n, num_classes]."""

    def __init__(self, genotype=GENOTYPE, C=CHANNELS, layers=LAYERS, num_classes=NUM_CLASSES):
        super().__init__()
        self.stem0 = nn.Sequential(
            nn.Conv2d(3, C // 2, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(C // 2),
            nn.ReLU(),
            nn.Conv2d(C // 2, C, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(C),
        )
        self.stem1 = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(C, C, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(C),
        )
        self.cells, C_last = stack_cells(genotype, C, C, layers, reduction_prev=True)
        self.classifier = nn.Linear(C_last, num_classes)

    def forward(self, images):
        s0 = self.stem0(images)
        s1 = self.stem1(s0)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1)
        return self.classifier(s1.mean(dim=(2, 3)))
`

/** The network around the cells: the name of its class, and its text. */
export const networkSources: Readonly<Record<NetworkKind, { readonly name: string; readonly text: string }>> =
  {
    cifar: { name: 'NetworkCIFAR', text: cifarSource },
    imagenet: { name: 'NetworkImageNet', text: imagenetSource },
  }
